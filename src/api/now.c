/*-------------------------------------------------------------------------
 *
 * now.c
 *	  Submitting a refund, and waiting for its outcome, in one call.
 *
 * It commits between the two: what is not committed is not sent, and while it
 * waits it holds nothing, neither a transaction nor a lock nor a snapshot.  That is
 * why it is a procedure, and why it runs with the caller's rights and settings: one
 * that is SECURITY DEFINER, or has a SET clause, cannot commit.
 *
 * src/api/now.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "api/wait.h"
#include "money/money.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_refund_now);

#define SUBMIT_ARGUMENTS	14
#define TIMEOUT_ARGUMENT	SUBMIT_ARGUMENTS

/*
 * SQL: PROCEDURE refund_now(... as refund_submit ..., timeout interval, INOUT state text)
 */
Datum
refundx_refund_now(PG_FUNCTION_ARGS)
{
	static Statement submit = {
		"SELECT s.state FROM refundx.refund_submit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) s",
		ARGS(TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TIMESTAMPTZOID,
			 TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID)
	};
	char	   *refund_no = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	TimestampTz deadline = GetCurrentTimestamp();
	ErrorContextCallback hide;
	Values		v = {0};
	char	   *state;
	int			i;

	wait_refuse_in_transaction(fcinfo, "refund_now", PRODUCT_REFUND);
	if (!PG_ARGISNULL(TIMEOUT_ARGUMENT))
		deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														   TimestampTzGetDatum(deadline),
														   PG_GETARG_DATUM(TIMEOUT_ARGUMENT)));
	for (i = 0; i < SUBMIT_ARGUMENTS; i++)
		values_datum(&v, PG_GETARG_DATUM(i), PG_ARGISNULL(i));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	hide.callback = hide_statement;
	hide.arg = NULL;
	hide.previous = error_context_stack;
	error_context_stack = &hide;
	statement_run(&submit, &v);
	error_context_stack = hide.previous;
	SPI_commit();
	SPI_start_transaction();	/* does nothing where SPI_commit() did it */
	state = wait_until_decided(PRODUCT_REFUND, refund_no, deadline);
	SPI_finish();
	return wait_state_row(state);
}
