/*
 * Rights.  Nothing is PUBLIC's.  A worker may do what its SQL does and no
 * more: this protects against mistakes in that SQL.  test/pgtap/grants.sql
 * walks roles and tables.
 */
REVOKE ALL ON ALL TABLES IN SCHEMA refundx FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA refundx FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA refundx FROM PUBLIC;
REVOKE ALL ON TYPE refundx.refund, refundx.withdrawal, refundx.withdrawal_order, refundx.desk_answer, refundx.desk_subject, refundx.reconcile_subject FROM PUBLIC;
REVOKE ALL ON SCHEMA refundx FROM PUBLIC;

GRANT USAGE ON SCHEMA refundx TO
	refundx_app, refundx_operator, refundx_auditor, pg_monitor,
	refundx_dispatcher, refundx_listener, refundx_settler, refundx_runner, refundx_courier, refundx_clerk;
GRANT USAGE ON TYPE refundx.refund, refundx.withdrawal, refundx.withdrawal_order TO refundx_app, refundx_operator, refundx_auditor;
GRANT USAGE ON TYPE refundx.desk_answer TO refundx_operator;

-- every worker
GRANT EXECUTE ON FUNCTION refundx.armed(), refundx.this_installation() TO
	refundx_dispatcher, refundx_listener, refundx_settler, refundx_runner, refundx_courier, refundx_clerk;

-- The constraints of the tables that workers write.
GRANT EXECUTE ON FUNCTION
	refundx.instruction_whole(refundx.instruction_kind, bigint, text, timestamptz, refundx.instruction_state, boolean)
	TO refundx_dispatcher, refundx_settler, refundx_clerk;
GRANT EXECUTE ON FUNCTION
	refundx.payment_covers(refundx.positive_minor_units, refundx.minor_units, refundx.minor_units,
						   refundx.minor_units, refundx.minor_units, refundx.minor_units),
	refundx.journal_line_good(bigint, refundx.journal_type, text, bigint, bigint, bigint, bigint, bigint)
	TO refundx_settler;

-- dispatcher: claims what is due, calls, keeps the answers
GRANT SELECT ON refundx.channel_settings, refundx.merchant, refundx.merchant_paused, refundx.pause, refundx.cap, refundx.breaker, refundx.pace_setting, refundx.payment,
	refundx.instruction, refundx.payout,
	refundx.request, refundx.attempt, refundx.event, refundx.evidence, refundx.installation
	TO refundx_dispatcher;
GRANT SELECT (account_id, hold) ON refundx.account TO refundx_dispatcher, refundx_clerk;
GRANT UPDATE (state, state_since, due_at, due_call, attempts, polls, first_attempt_at,
			  detail, unexplained, last_attempt_at, person_reason, person_suggestion, person_since)
	ON refundx.instruction TO refundx_dispatcher;
GRANT INSERT ON refundx.attempt, refundx.request, refundx.event, refundx.evidence, refundx.breaker TO refundx_dispatcher;
GRANT UPDATE ON refundx.breaker TO refundx_dispatcher;
GRANT SELECT ON refundx.recovery TO refundx_dispatcher;
GRANT EXECUTE ON FUNCTION refundx.recovery_ask(bigint[]), refundx.recovery_asks(bigint, int) TO refundx_dispatcher;
GRANT EXECUTE ON FUNCTION refundx.recover_timeline(), refundx.stop_take(bigint[], timestamptz) TO refundx_dispatcher;
GRANT EXECUTE ON FUNCTION refundx.stop_contradictions(bigint[], timestamptz) TO refundx_settler;
GRANT EXECUTE ON FUNCTION refundx.stop_check(timestamptz), refundx.recovery_step(timestamptz),
	refundx.check_begin(timestamptz), refundx.check_run(text, timestamptz) TO refundx_clerk;

-- listener: the one that strangers reach
GRANT SELECT ON refundx.channel_settings TO refundx_listener;
GRANT INSERT ON refundx.evidence, refundx.callback_count TO refundx_listener;

-- settler: the money; and the runner, which is a member of it
GRANT SELECT ON refundx.evidence, refundx.event, refundx.instruction, refundx.payment,
	refundx.account, refundx.journal, refundx.merchant, refundx.channel,
	refundx.channel_settings, refundx.notice_template, refundx.external_refund
	TO refundx_settler;
GRANT SELECT (payment_id, language) ON refundx.payment_contact TO refundx_settler;
GRANT SELECT (instruction_id, transition, sink) ON refundx.notice TO refundx_settler;
GRANT UPDATE (refunding, refunded, returned, elsewhere, overpaid, parts, hold, hold_since, hold_by) ON refundx.payment TO refundx_settler;
GRANT UPDATE (state, is_open, detail, state_since, due_at, due_call, polls, unexplained, generation, refusal,
			  last_attempt_at, person_reason, person_suggestion, person_since, payer_amount,
			  channel_refund_id, received_by, wire_no, attempts, retries, reissues, first_attempt_at, hold, hold_since, hold_by)
	ON refundx.instruction TO refundx_settler;
GRANT UPDATE (hold, hold_since, hold_by) ON refundx.account TO refundx_settler;
GRANT SELECT, INSERT, UPDATE, DELETE ON refundx.merchant_pause TO refundx_settler;
GRANT SELECT (instruction_id, account_id, asked, fee_back_on_failure, fee_back_on_return, capped_on,
			  approval, approved_at)
	ON refundx.payout TO refundx_settler;
GRANT SELECT (instruction_id, language) ON refundx.payout_contact TO refundx_settler;
GRANT SELECT, INSERT ON refundx.cap_line TO refundx_settler;
GRANT UPDATE (counted, payment_id, amount, evidence_id, person_reason) ON refundx.external_refund TO refundx_settler;
GRANT INSERT ON refundx.journal, refundx.event, refundx.notice, refundx.external_refund TO refundx_settler;
GRANT EXECUTE ON FUNCTION refundx.state_is_open(text) TO refundx_settler;
GRANT SELECT ON refundx.diversion TO refundx_dispatcher;
GRANT UPDATE (request_sealed) ON refundx.diversion TO refundx_dispatcher;
GRANT SELECT (instruction_id, nth, erased_at) ON refundx.diversion TO refundx_clerk;
GRANT UPDATE (data_key, order_sealed, request_sealed, erased_at) ON refundx.diversion TO refundx_clerk;
GRANT SELECT ON refundx.failure_policy, refundx.failure_override, refundx.former_number TO refundx_settler;
GRANT INSERT ON refundx.former_number TO refundx_settler;
GRANT SELECT, INSERT ON refundx.handed TO refundx_settler;
GRANT SELECT ON refundx.handler, refundx.handler_run TO refundx_settler;

-- runner: what handlers follow; their functions it calls as their roles
GRANT SELECT (payee_masked) ON refundx.payout TO refundx_runner;
GRANT SELECT ON refundx.guard_lock, refundx.guard_trigger TO refundx_runner;
GRANT DELETE ON refundx.handed TO refundx_runner;
GRANT UPDATE (begun) ON refundx.handed TO refundx_runner;
GRANT INSERT ON refundx.handler_run TO refundx_runner;
GRANT UPDATE (blocks, state, tries, next_at, code, message, context, first_failed_at, failed_at, closed_at, closed_by, reason, begun)
	ON refundx.handler_run TO refundx_runner;

-- courier: whom to text, and what
GRANT SELECT ON refundx.notice, refundx.notice_provider, refundx.notice_template,
	refundx.payment_contact, refundx.payout_contact, refundx.instruction, refundx.payment, refundx.channel,
	refundx.channel_settings, refundx.merchant, refundx.installation
	TO refundx_courier;
GRANT UPDATE ON refundx.notice TO refundx_courier;
GRANT UPDATE (paused, paused_since) ON refundx.notice_provider TO refundx_courier;
GRANT DELETE ON refundx.payment_contact TO refundx_courier;
GRANT SELECT ON refundx.incident, refundx.relay, refundx.event, refundx.outbox, refundx.outbox_position
	TO refundx_courier;
GRANT SELECT (evidence_id, code) ON refundx.evidence TO refundx_courier;
GRANT SELECT (instruction_id, account_id) ON refundx.payout TO refundx_courier;
GRANT SELECT (account_id, account_no) ON refundx.account TO refundx_courier;
GRANT SELECT ON refundx.webhook, refundx.webhook_delivery TO refundx_courier;
GRANT UPDATE (paused, paused_reason, paused_since, failing_since, last_error) ON refundx.webhook TO refundx_courier;
GRANT INSERT, UPDATE ON refundx.webhook_delivery TO refundx_courier;
GRANT SELECT (webhook_id, seq, state, done_at) ON refundx.webhook_delivery TO refundx_clerk;
GRANT DELETE ON refundx.webhook_delivery TO refundx_clerk;
GRANT INSERT ON refundx.outbox, refundx.outbox_position TO refundx_courier;
GRANT UPDATE (seq) ON refundx.outbox_position TO refundx_courier;
GRANT INSERT ON refundx.relay TO refundx_courier;
GRANT UPDATE (seen) ON refundx.relay TO refundx_courier;

-- clerk: due times and retention
GRANT SELECT ON refundx.instruction, refundx.payment, refundx.notice, refundx.merchant, refundx.merchant_paused,
	refundx.channel_settings, refundx.event, refundx.evidence, refundx.attempt,
	refundx.callback_count, refundx.installation
	TO refundx_clerk;
GRANT SELECT ON refundx.watermark, refundx.evidence_evidence_id_seq TO refundx_clerk;
GRANT UPDATE (weighed_to, next_id, next_xid) ON refundx.watermark TO refundx_clerk;
GRANT SELECT ON refundx.watermark TO refundx_settler;
GRANT SELECT (instruction_id, is_open, blocks) ON refundx.handler_run TO refundx_clerk;
GRANT SELECT (payment_id, recorded_at) ON refundx.payment_contact TO refundx_clerk;
GRANT UPDATE (due_at, due_call) ON refundx.instruction TO refundx_clerk;
GRANT SELECT (instruction_id, account_id, erased_at) ON refundx.payout TO refundx_clerk;
GRANT UPDATE (data_key, payee_sealed, erased_at) ON refundx.payout TO refundx_clerk;
GRANT SELECT (instruction_id) ON refundx.payout_contact TO refundx_clerk;
GRANT SELECT (day) ON refundx.cap_line TO refundx_clerk;
GRANT SELECT ON refundx.pause, refundx.cap, refundx.cap_sent, refundx.cap_wait TO refundx_clerk;
GRANT DELETE ON refundx.cap_sent, refundx.cap_wait TO refundx_clerk;
GRANT EXECUTE ON FUNCTION refundx.held_back(bigint) TO refundx_clerk;
GRANT DELETE ON refundx.payment_contact, refundx.payout_contact, refundx.callback_count,
	refundx.cap_line TO refundx_clerk;
GRANT INSERT ON refundx.event TO refundx_clerk;

-- bills: the clerk makes them due, the dispatcher fetches their files, the clerk has them read
GRANT SELECT ON refundx.bill TO refundx_dispatcher, refundx_clerk;
GRANT UPDATE (state, due_at, tries, failing_since, error, hash, announced_hash, packing, size, unpacked,
			  person_reason, person_suggestion, person_since, fetched_at)
	ON refundx.bill TO refundx_dispatcher;
GRANT INSERT ON refundx.bill_chunk TO refundx_dispatcher;
GRANT EXECUTE ON FUNCTION refundx.bills_make_due(timestamptz), refundx.bill_read(bigint),
	refundx.bills_reconcile(timestamptz, int, date) TO refundx_clerk;
GRANT EXECUTE ON FUNCTION
	refundx.bill_load(text, text, date, bytea),
	refundx.bill_load_file(text, text, date, text),
	refundx.bill_fetch(text, text, date, text),
	refundx.bill_fetch_set(text, text, boolean, text)
	TO refundx_operator;
GRANT EXECUTE ON FUNCTION refundx.bill_progress() TO refundx_operator, refundx_auditor;
GRANT SELECT ON refundx.bills TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.reconcile(text, date, boolean) TO refundx_clerk;

-- applications
GRANT EXECUTE ON FUNCTION
	refundx.payment_record(text, text, bigint, text, text, timestamptz, bigint, text, text, text, jsonb),
	refundx.refund_submit(text, text, text, bigint, text, text, bigint, text, timestamptz, text, text, text, jsonb, jsonb),
	refundx.refund_cancel(text, text),
	refundx.withdraw_submit(text, text, bigint, text, jsonb, text, text, text, jsonb, jsonb),
	refundx.withdraw_submit_many(refundx.withdrawal_order[]),
	refundx.withdraw_cancel(text, text),
	refundx.refund_continue(text, text, text),
	refundx.withdraw_continue(text, text, text),
	refundx.failure_policy_for(text, jsonb, text),
	refundx.withdraw_package(text),
	refundx.callback_ingest(text, jsonb, bytea),
	refundx.account_open(text, text, int),
	refundx.account_credit(text, bigint, text, text),
	refundx.account_debit(text, bigint, text, text),
	refundx.guard_add(regclass, text, text[], text),
	refundx.guard_drop(regclass, text)
	TO refundx_app, refundx_operator;

-- whoever looks
GRANT EXECUTE ON FUNCTION
	refundx.refund_get(text),
	refundx.refund_state(text),
	refundx.refund_timeline(text),
	refundx.refund_explain(text),
	refundx.withdraw_get(text),
	refundx.withdraw_state(text),
	refundx.withdraw_timeline(text),
	refundx.withdraw_explain(text),
	refundx.actor(),
	refundx.format_amount(bigint, text),
	refundx.reads_all()
	TO refundx_app, refundx_operator, refundx_auditor;
GRANT EXECUTE ON PROCEDURE refundx.refund_wait(text, interval, text), refundx.withdraw_wait(text, interval, text)
	TO refundx_app, refundx_operator, refundx_auditor;
GRANT EXECUTE ON PROCEDURE refundx.refund_now(text, text, text, bigint, text, text, bigint, text, timestamptz, text, text, text, jsonb, jsonb, interval, text)
	TO refundx_app, refundx_operator;
GRANT EXECUTE ON FUNCTION refundx.handler_running() TO refundx_app, refundx_operator;
GRANT SELECT ON refundx.refunds, refundx.withdrawals, refundx.payments, refundx.accounts,
	refundx.locks, refundx.guards, refundx.wire_numbers
	TO refundx_app, refundx_operator, refundx_auditor;
GRANT SELECT ON refundx.inflight, refundx.unknown, refundx.journal_lines, refundx.attempts,
	refundx.evidence_log, refundx.events, refundx.notices, refundx.channels, refundx.merchants,
	refundx.callbacks, refundx.external_refunds, refundx.desk, refundx.operator_requests, refundx.audit_log, refundx.incidents,
	refundx.withdrawals_by_state, refundx.awaiting_approval, refundx.awaiting_payee, refundx.in_transit,
	refundx.bounced, refundx.withdraw_policies, refundx.pauses, refundx.caps, refundx.merchant_paused, refundx.breakers, refundx.paces
	TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.held_back(bigint), refundx.pause_subject(refundx.pause), refundx.pause_text(refundx.pause),
	refundx.cap_used(refundx.cap, timestamptz), refundx.cap_text(refundx.cap),
	refundx.cap_concerns(refundx.cap, refundx.instruction)
	TO refundx_operator, refundx_auditor;
GRANT SELECT ON refundx.recoveries, refundx.recovery_bills, refundx.checks TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.recovery_report(bigint), refundx.bill_day(timestamptz, int) TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.recover(text, timestamptz), refundx.recover_done(text), refundx.check_soon(text, text[]) TO refundx_operator;
GRANT SELECT ON refundx.failure_policies TO refundx_operator, refundx_auditor;
GRANT SELECT ON refundx.handlers, refundx.handler_failures TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.handler_problem(text, text, text, text) TO refundx_operator, refundx_auditor;
GRANT SELECT ON refundx.check_i07, refundx.check_i22,
	refundx.check_i01, refundx.check_i02, refundx.check_i03, refundx.check_i04,
	refundx.check_i05, refundx.check_i06, refundx.check_i08, refundx.check_i09, refundx.check_i10, refundx.check_i11,
	refundx.check_i12, refundx.check_i13, refundx.check_i14, refundx.check_i15,
	refundx.check_i16, refundx.check_i17, refundx.check_i18, refundx.check_i19, refundx.check_i20, refundx.check_i21, refundx.check_i23, refundx.check_i24, refundx.check_i25,
	refundx.check_approval, refundx.check_handlers, refundx.check_outbox, refundx.check_orphans, refundx.invariants
	TO refundx_operator, refundx_auditor;
GRANT SELECT ON refundx.breaks, refundx.certainty TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.certainty(date, date, text[]), refundx.reconcile_report(text, date), refundx.reconcile_report_html(text, date) TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.desk_now() TO refundx_operator, refundx_auditor, pg_monitor;
GRANT EXECUTE ON FUNCTION refundx.break_age(timestamptz), refundx.break_call(bigint, text, text, text, text)
	TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.desk_evidence(int, text, text), refundx.desk_call(text, text[]),
	refundx.desk_balance(bigint), refundx.desk_contradiction_call(bigint, bigint)
	TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.check(text[]), refundx.personal_words(text) TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.check(), refundx.mask_phone(text),
	refundx.failure_defaults(), refundx.failure_policy_of(bigint), refundx.bill_kinds(), refundx.merchant_balance_proof(text, date),
	refundx.callback_inspect(text, jsonb, bytea, timestamptz)
	TO refundx_operator, refundx_auditor;

GRANT SELECT ON refundx.outbox, refundx.webhooks, refundx.webhook_deliveries TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION
	refundx.webhook_add(text, text, text, text[]),
	refundx.webhook_set(text, text, text, text, text[]),
	refundx.webhook_pause(text, text),
	refundx.webhook_resume(text, text),
	refundx.webhook_remove(text, text),
	refundx.webhook_redrive(text, timestamptz, text, boolean),
	refundx.webhook_check(text)
	TO refundx_operator;

-- how it goes: nothing of anybody's refund is in these
GRANT EXECUTE ON FUNCTION
	refundx.armed(), refundx.this_installation(), refundx.worker_status(), refundx.blockers(),
	refundx.state_table(), refundx.verdict_table(), refundx.channel_kinds()
	TO refundx_operator, refundx_auditor, pg_monitor;
GRANT EXECUTE ON FUNCTION
	refundx.state_table(), refundx.verdict_table(), refundx.channel_kinds()
	TO refundx_app;
GRANT EXECUTE ON FUNCTION refundx.pause_subject(refundx.pause), refundx.pause_text(refundx.pause), refundx.cap_used(refundx.cap, timestamptz),
	refundx.format_amount(bigint, text)
	TO pg_monitor;
GRANT SELECT ON refundx.health TO refundx_operator, refundx_auditor, pg_monitor;
GRANT SELECT ON refundx.callbacks, refundx.merchants TO pg_monitor;
GRANT SELECT ON refundx.states, refundx.verdicts TO refundx_app, refundx_operator, refundx_auditor, pg_monitor;

-- operators
GRANT EXECUTE ON FUNCTION
	refundx.refund_adopt(text, text, text, bigint, text, text, bigint, text, timestamptz, text, text, text, jsonb, jsonb),
	refundx.refund_allow(text, text),
	refundx.reissue(text, text, boolean),
	refundx.refund_abnormal(text, text, text, text, text, text, boolean),
	refundx.failure_policy_set(text, jsonb, text),
	refundx.approve(text, text),
	refundx.reject(text, text),
	refundx.withdraw_policy_set(text, jsonb, text),
	refundx.forget_payee(text, text),
	refundx.guard_lift(regclass, text, text),
	refundx.handler_add(text, text, text, text, interval, interval, int, interval),
	refundx.handler_set(text, text, text, text, interval, interval, int, interval),
	refundx.handler_pause(text, text, text),
	refundx.handler_resume(text, text, text),
	refundx.handler_remove(text, text, text),
	refundx.handler_retry(text, text, text),
	refundx.handler_waive(text, text, text),
	refundx.hold(text, text, text, text, boolean),
	refundx.release(text, text, text, text, boolean),
	refundx.query_now(text, text, boolean),
	refundx.retry(text, text, boolean),
	refundx.callback_replay(bigint, text, boolean),
	refundx.callback_replay(text, text, boolean),
	refundx.notice_resend(bigint, text, boolean),
	refundx.external_ignore(text, text, text, text, boolean),
	refundx.break_accept(bigint, text, text, boolean),
	refundx.break_resolve(bigint, text, text, boolean),
	refundx.break_ignore(bigint, text, boolean),
	refundx.break_assign(bigint, text, text, boolean),
	refundx.break_reopen(bigint, text, boolean),
	refundx.resolve(text, text, text, text, boolean),
	refundx.suspense_settle(text, bigint, text, text, boolean),
	refundx.confirm(bigint, text, boolean),
	refundx.decline(bigint, text),
	refundx.second_person_set(text, bigint, text, boolean),
	refundx.account_close(text, text),
	refundx.account_reopen(text, text),
	refundx.pause(text, text, text, text),
	refundx.resume(text, text, text, text),
	refundx.cap_set(text, text, interval, bigint, bigint, text, text, text, numeric, boolean),
	refundx.cap_remove(text, text, text, interval, text),
	refundx.pace_set(text, text, text, int, int, numeric, interval),
	refundx.channel_add(text, text, jsonb),
	refundx.channel_set(text, jsonb, boolean),
	refundx.channel_check(text, boolean),
	refundx.notice_provider_add(text, text, jsonb),
	refundx.notice_provider_set(text, jsonb),
	refundx.notice_provider_check(text),
	refundx.notice_template_set(text, text, text, jsonb, text),
	refundx.reconcile(text, date, boolean),
	refundx.bill_expect_fee(text, text, bigint, text),
	refundx.arm(text)
	TO refundx_operator;

-- seals: the clerk makes them, of the journal, which it reads; people verify
GRANT SELECT ON refundx.journal, refundx.seal, refundx.sealed, refundx.day_seal, refundx.seal_cursor TO refundx_clerk;
GRANT SELECT (account_id, account_no, slot, slot_of, currency) ON refundx.account TO refundx_clerk;
GRANT INSERT ON refundx.seal, refundx.sealed, refundx.day_seal TO refundx_clerk;
GRANT UPDATE ON refundx.seal_cursor TO refundx_clerk;
GRANT EXECUTE ON FUNCTION refundx.seal_findings(bigint, bigint, boolean), refundx.journal_verify(bigint, bigint)
	TO refundx_operator, refundx_auditor;
GRANT EXECUTE ON FUNCTION refundx.journal_seal(), refundx.seal_day(date) TO refundx_operator;
GRANT EXECUTE ON FUNCTION refundx.seal_check(jsonb), refundx.journal_proof(text), refundx.balance_proof(text, timestamptz, timestamptz)
	TO refundx_operator, refundx_auditor;
GRANT SELECT ON refundx.day_seals, refundx.seals TO refundx_operator, refundx_auditor;
