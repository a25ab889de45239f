/*-------------------------------------------------------------------------
 *
 * sms.h
 *	  What the simulated SMS providers share.
 *
 * A provider reads its own protocol into an SmsCall and says how it answers;
 * what becomes of the message is decided here, for all of them alike.
 *
 * sandbox/sms.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_SMS_H
#define REFUNDX_SANDBOX_SMS_H

#include "sandbox.h"

typedef struct SmsOutcome SmsOutcome;

typedef struct SmsProvider
{
	const char *name;
	void		(*answer_ok) (SbRequest *req, const char *message_id);
	void		(*answer_error) (SbRequest *req, const SmsOutcome *o);
} SmsProvider;

typedef struct SmsCall
{
	const char *phones;			/* one, or several with commas */
	const char *template_code;	/* or "" */
	const char *param;			/* template parameters, or the text */
	const char *out_id;			/* the caller's own id, or "" */
} SmsCall;

typedef enum SmsFault
{
	SMS_FAULT_NONE,
	SMS_FAULT_ERROR,
	SMS_FAULT_HANG,
	SMS_FAULT_RESET,
	SMS_FAULT_GARBAGE
} SmsFault;

struct SmsOutcome
{
	int			magic;			/* last four digits of the phone number */
	const char *name;
	SmsFault	fault;
	bool		first_only;		/* a repeat works */
	bool		effect_first;	/* the message goes out before the fault */
	int			status;			/* Alibaba's HTTP status */
	const char *code;			/* Alibaba's code */
	int			result;			/* the generic gateway's "result" */
	const char *message;
	const char *text;
};

/* The provider-wide switch (/sandbox/sms); true if it has dealt with req. */
extern bool sms_provider_is_off(SbRequest *req, const SmsProvider *p);
extern void sms_submit(SbRequest *req, const SmsProvider *p, const SmsCall *call);
extern void sms_print_outcomes(FILE *out);

#endif							/* REFUNDX_SANDBOX_SMS_H */
