/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The refundx.* settings (GUCs).
 *
 * src/base/settings.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SETTINGS_H
#define REFUNDX_SETTINGS_H

/* in the order of the table in settings.c */
extern char *rx_databases;		/* "shop:8443, crm:8444" */
extern int	rx_max_databases;
extern char *rx_key_directory;
extern char *rx_public_base_url;
extern char *rx_seal_key;
extern bool rx_dispatch;
extern bool rx_log_events;
extern bool rx_webhook_private_networks;
extern bool rx_allow_drop;
extern char *rx_listen_address;
extern char *rx_tls_certificate_file;
extern char *rx_tls_key_file;
extern char *rx_ca_file;
extern int	rx_listen_max_connections;
extern int	rx_listen_max_body;	/* kB */
extern int	rx_listen_request_timeout;	/* ms */
extern int	rx_max_calls;		/* channel calls in flight per dispatcher */
extern int	rx_batch_size;		/* rows per transaction of a worker */
extern int	rx_poll_interval;	/* ms */
extern int	rx_bill_max_download;	/* MB */
extern int	rx_bill_max_size;	/* MB */
extern bool rx_fetch_bills;
extern int	rx_clerk_interval;	/* s */
extern int	rx_clock_offset;
extern char *rx_actor;			/* see money/actor.c before you believe it */
extern char *rx_payee_keys;
extern bool rx_background_checks;
extern int	rx_background_check_limit;	/* s */
extern int	rx_pause_after_contradictions;	/* 0 = never */
extern int	rx_payee_retention;	/* days; -1 = for ever */

/* May this login say for whom it acts? */
extern bool settings_may_delegate(void);	/* s, for tests */
extern char *rx_test_point;		/* for tests; see base/testpoint.h */

extern void settings_define(void);

/* One entry of refundx.databases. */
typedef struct DatabaseSetting
{
	char		name[64];
	int			port;			/* 0 = no listener */
} DatabaseSetting;

#define SETTINGS_MAX_DATABASES	64

/*
 * Parse refundx.databases.  Returns the number of entries, or -1 with a
 * message; used by the GUC's check hook and by the launcher.
 */
extern int	settings_parse_databases(const char *value, DatabaseSetting *out,
									 char *err, size_t errsize);

#endif							/* REFUNDX_SETTINGS_H */
