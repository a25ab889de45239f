/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  The error class RX: what an application may want to catch.
 *
 * doc/errors.md lists them for users; keep the two together.
 *
 * src/base/errors.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ERRORS_H
#define REFUNDX_ERRORS_H

#include "utils/elog.h"

#define RX_SQLSTATE(a, b, c)		MAKE_SQLSTATE('R', 'X', a, b, c)

#define ERRCODE_RX_OVER_REFUND			RX_SQLSTATE('0', '0', '1')
#define ERRCODE_RX_UNKNOWN_PAYMENT		RX_SQLSTATE('0', '0', '2')
#define ERRCODE_RX_NUMBER_REUSED		RX_SQLSTATE('0', '0', '3')
#define ERRCODE_RX_NOT_ENOUGH			RX_SQLSTATE('0', '0', '4')
#define ERRCODE_RX_CURRENCY				RX_SQLSTATE('0', '0', '5')
#define ERRCODE_RX_STATE				RX_SQLSTATE('0', '0', '6')
#define ERRCODE_RX_ON_HOLD				RX_SQLSTATE('0', '0', '7')
#define ERRCODE_RX_CHANNEL				RX_SQLSTATE('0', '0', '8')
#define ERRCODE_RX_NOT_READY			RX_SQLSTATE('0', '0', '9')
#define ERRCODE_RX_CHANNEL_REFUSES		RX_SQLSTATE('0', '1', '0')
#define ERRCODE_RX_CONFIG				RX_SQLSTATE('0', '1', '1')
#define ERRCODE_RX_UNKNOWN_REFUND		RX_SQLSTATE('0', '1', '2')
#define ERRCODE_RX_UNKNOWN_ACCOUNT		RX_SQLSTATE('0', '1', '3')
#define ERRCODE_RX_BAD_AMOUNT			RX_SQLSTATE('0', '1', '4')
#define ERRCODE_RX_APPEND_ONLY			RX_SQLSTATE('0', '1', '5')
#define ERRCODE_RX_DROP_REFUSED			RX_SQLSTATE('0', '1', '6')
#define ERRCODE_RX_NOT_ARMED			RX_SQLSTATE('0', '1', '7')
#define ERRCODE_RX_CHANNEL_PAUSED		RX_SQLSTATE('0', '1', '8')
#define ERRCODE_RX_ACCOUNT_CLOSED		RX_SQLSTATE('0', '1', '9')
#define ERRCODE_RX_LIMIT				RX_SQLSTATE('0', '2', '0')
#define ERRCODE_RX_FOUR_EYES			RX_SQLSTATE('0', '2', '1')
#define ERRCODE_RX_GUARDED				RX_SQLSTATE('0', '2', '2')
#define ERRCODE_RX_ROW_DIFFERS			RX_SQLSTATE('0', '2', '3')
#define ERRCODE_RX_WEBHOOK_URL			RX_SQLSTATE('0', '2', '4')
#define ERRCODE_RX_UNKNOWN_WEBHOOK		RX_SQLSTATE('0', '2', '5')
#define ERRCODE_RX_POLICY				RX_SQLSTATE('0', '3', '0')
#define ERRCODE_RX_REISSUE				RX_SQLSTATE('0', '3', '1')
#define ERRCODE_RX_IN_HANDLER			RX_SQLSTATE('0', '2', '6')
#define ERRCODE_RX_NO_HANDLER_WAITS		RX_SQLSTATE('0', '2', '7')
#define ERRCODE_RX_NOT_PROVEN			RX_SQLSTATE('0', '2', '8')
#define ERRCODE_RX_UNKNOWN_ITEM			RX_SQLSTATE('0', '2', '9')
#define ERRCODE_RX_ROLE_PAUSED			RX_SQLSTATE('0', '3', '2')
#define ERRCODE_RX_CAP					RX_SQLSTATE('0', '3', '3')
#define ERRCODE_RX_NO_RECOVERY			RX_SQLSTATE('0', '4', '1')
#define ERRCODE_RX_BAD_BILL				RX_SQLSTATE('0', '3', '4')
#define ERRCODE_RX_BILL_DAY				RX_SQLSTATE('0', '3', '5')
#define ERRCODE_RX_NO_BILL				RX_SQLSTATE('0', '3', '6')
#define ERRCODE_RX_BREAK				RX_SQLSTATE('0', '3', '8')
#define ERRCODE_RX_UNKNOWN_SEAL			RX_SQLSTATE('0', '3', '9')
#define ERRCODE_RX_NOT_PROVABLE			RX_SQLSTATE('0', '4', '0')

#endif							/* REFUNDX_ERRORS_H */
