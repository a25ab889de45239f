/*-------------------------------------------------------------------------
 *
 * transfer.h
 *	  Transfers: money that goes out to somebody who has not paid before.
 *
 * A transfer is accepted, goes along the path of its outcome, and ends; at
 * some channels its money comes back after that.  States have WeChat Pay's
 * names here (it has most of them); Alipay's DEALING is PROCESSING.
 *
 * sandbox/transfer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_TRANSFER_H
#define REFUNDX_SANDBOX_TRANSFER_H

#include "sandbox.h"

typedef enum TransferStatus
{
	TRANSFER_ACCEPTED,
	TRANSFER_PROCESSING,
	TRANSFER_WAITING,			/* WAIT_USER_CONFIRM */
	TRANSFER_TRANSFERING,		/* the channel's spelling */
	TRANSFER_SUCCESS,
	TRANSFER_FAIL,
	TRANSFER_CANCELING,
	TRANSFER_CANCELLED,
	TRANSFER_REFUND				/* it bounced: paid, and the money came back */
} TransferStatus;

extern const char *transfer_status_name(TransferStatus s);
extern bool transfer_status_parse(const char *s, TransferStatus *out);

/* When a step of a path is taken. */
typedef enum StepWhen
{
	STEP_END,					/* there is none */
	STEP_NOW,
	STEP_DELAY,					/* after --callback-delay-ms */
	STEP_HOUR,					/* of the sandbox's clock */
	STEP_TWO_DAYS,
	STEP_PAYEE,					/* when the payee confirms: as is his habit (--payee) */
	STEP_COMMAND,				/* when somebody confirms for him, only */
	STEP_FUNDS					/* when the call is repeated after a change of the balance */
} StepWhen;

typedef struct TransferStep
{
	TransferStatus becomes;
	StepWhen	when;
} TransferStep;

#define PATH_STEPS	6

struct TransferPath
{
	TransferStep step[PATH_STEPS];	/* the first is what it is when it is accepted */
	const char *reason;			/* of a FAIL or REFUND on it */
	bool		slow_cancel;	/* CANCELING for an hour */
	bool		lost_cancel;	/* CANCELING, and then it is paid after all */
	bool		late;			/* callbacks come an hour late */
	bool		foreign;		/* every second callback is of another merchant's, and amount */
	bool		quiet_bounce;	/* nobody is told that it bounced */
};

struct SbTransfer
{
	const SbChannel *channel;
	SbMerchant *merchant;
	char		no[SB_NO_MAX + 1];
	char		id[SB_ID_MAX + 1];	/* the channel's */
	char		digest[65];		/* SHA-256 of the canonical parameters */
	char		outcome[32];
	char	   *notify_url;		/* NULL = its merchant's, if that has one */
	json_t	   *data;			/* what else the channel wants to remember, or NULL */
	int64_t		amount;
	bool		to_card;		/* to a bank card, not to an account at the channel */
	TransferStatus status;
	char		reason[64];		/* why it failed or bounced, or "" */
	int			paid_times;		/* how often money went out to the payee */
	int			bounced_times;	/* how often it came back */
	int			step;			/* how far along its path; -1 = it has left it */
	int			calls;			/* create calls seen by this process */
	int64_t		sequence;		/* of its record in the ledger */
	int64_t		created;		/* business clock, ms */
	int64_t		changed;		/* business clock, ms */
	int64_t		paid_at;		/* business clock, ms; 0 = not yet */
	SbPlant    *plants;			/* how the bills shall differ about it */
	int64_t		accepted_at;	/* sandbox clock */
	int64_t		visible_at;		/* sandbox clock: queries find it from then on */

	/* What comes next by itself; next_at 0 = nothing. */
	int64_t		next_at;		/* sandbox clock */
	TransferStatus next_status;
	char		next_reason[64];

	SbRequest  *waiting;		/* its answer waits for the callback */
};

/* ---- the life of a transfer (transfer.c) ---- */

typedef struct NewTransfer
{
	const char *no;
	const char *id;				/* unique within the merchant */
	const char *digest;
	const char *notify_url;		/* or NULL */
	int64_t		amount;
	bool		to_card;
	json_t	   *data;			/* or NULL; stolen */
} NewTransfer;

extern const SbOutcome *transfer_outcome(const SbTransfer *t);
extern bool transfer_is_final(TransferStatus s);

/* There is enough in the account that it is paid from. */
extern bool transfer_funded(const SbMerchant *m, int64_t amount);
extern SbTransfer *transfer_accept(SbMerchant *m, const NewTransfer *n, const SbOutcome *o);
extern void transfer_step(SbTransfer *t);	/* its next_at has come */
extern void transfer_asked_again(SbTransfer *t);	/* the call was repeated */
extern void transfer_cancel(SbTransfer *t);

/* A person's doing: NULL, or why that cannot be. */
extern const char *transfer_confirm(SbTransfer *t);
extern const char *transfer_decline(SbTransfer *t);
extern const char *transfer_settle(SbTransfer *t, TransferStatus status);
extern const char *transfer_bounce(SbTransfer *t);

extern const char *transfer_url(const SbTransfer *t);	/* where callbacks go, or NULL */
extern void transfer_tell(SbTransfer *t, int copies, int64_t due);	/* as it is now */
/* The answer (still to be given) waits until a callback of t has been. */
extern void transfer_hold_for_callback(SbTransfer *t, SbRequest *req);
/* It goes on now, instead of after the delay. */
extern void transfer_hurry(SbTransfer *t);

/* The key of what is remembered of calls without effect: never a refund's. */
extern void transfer_key(const char *no, char key[SB_NO_MAX + 16]);

/* ---- transfers in the model and in the ledger (transfer_model.c) ---- */

extern SbTransfer *model_transfer(const char *mchid, const char *no);
extern SbTransfer *model_transfer_any(const char *mchid, const char *no);	/* mchid or NULL */
extern SbTransfer *model_transfer_by_id(const char *mchid, const char *id);

extern void apply_transfer(const json_t *rec, int64_t seq);
extern void apply_transfer_status(const json_t *rec, int64_t seq);
extern void apply_balance(const json_t *rec, int64_t seq);

/* step -1: it leaves its path.  next_at 0: it stays what it becomes. */
typedef struct TransferMove
{
	TransferStatus status;
	const char *reason;			/* or NULL */
	int			step;
	int64_t		next_at;
	TransferStatus next;
	const char *next_reason;	/* or NULL */
} TransferMove;

extern SbTransfer *record_transfer(SbMerchant *m, const NewTransfer *n, const char *outcome,
								   int64_t visible_at, const TransferMove *first);
extern void record_transfer_status(SbTransfer *t, const TransferMove *move);
extern void record_balance(const SbMerchant *m, bool known, int64_t fen);	/* as it shall be */

extern json_t *report_transfers(const char *only_no);
extern void report_transfers_tsv(Buf *out);
extern json_t *report_transfer_stats(void);

#endif							/* REFUNDX_SANDBOX_TRANSFER_H */
