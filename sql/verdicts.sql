-- What each answer means: the data by which answers are judged.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
\set ECHO all
SELECT kind, product, call, n, http_status, code, verdict, signed_only FROM refundx.verdicts ORDER BY kind, product, n;
-- Each row says why, and where the channel says so.
SELECT * FROM refundx.verdicts WHERE comment = '' OR source = '' OR comment IS NULL OR source IS NULL;
-- No row stands behind one that fits everything that it fits.
SELECT b.* FROM refundx.verdicts a JOIN refundx.verdicts b
	ON b.kind = a.kind AND b.product = a.product AND b.call = a.call AND b.n > a.n
   AND (a.http_status IS NULL OR a.http_status = b.http_status) AND (a.code IS NULL OR a.code = b.code);
-- No server error is ever a definite no, and nothing is that says no code.
SELECT * FROM refundx.verdicts WHERE (http_status >= 500 OR code IS NULL) AND verdict IN ('refused', 'dead');
-- That money has arrived, or came back, is only believed if it is signed.
SELECT * FROM refundx.verdicts WHERE verdict IN ('accepted', 'succeeded', 'returned', 'abnormal') AND call <> 'echo' AND NOT signed_only;
