/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  What happened, one JSON object per line, appended and never changed.
 *
 * A record changes the model at once, but nobody outside may see that before
 * ledger_commit() has it on disk: answers and callbacks leave after the
 * commit (serve.c).  All records of one turn of the loop share one fdatasync,
 * so the rate is bounded by RSA and not by the disk.
 *
 * A kill -9 in the middle of a write leaves a torn last line.  Nobody has
 * seen its effect, so the replay drops it.  A line that cannot be read
 * anywhere else is damage, and we refuse to guess.
 *
 * sandbox/ledger.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"

#define PENDING_LIMIT	((size_t) 1024 * 1024 * 1024)

static int	ledger_fd = -1;
static Buf	pending = {NULL, 0, 0, PENDING_LIMIT, false};
static bool need_sync;
static int64_t sequence;
static int64_t commits;
static int64_t torn_bytes;

static int	wire_fd = -1;
static int	text_fd = -1;
static Buf	wire = {NULL, 0, 0, PENDING_LIMIT, false};
static Buf	text = {NULL, 0, 0, PENDING_LIMIT, false};

int64_t
ledger_sequence(void)
{
	return sequence;
}

int64_t
ledger_commits(void)
{
	return commits;
}

int64_t
ledger_torn_bytes(void)
{
	return torn_bytes;
}

/* A ledger that cannot be written is the end: no answer may leave after it. */
static void
die(const char *what)
{
	fprintf(stderr, "refundx-sandbox: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void
write_all(int fd, const char *data, size_t len, const char *what)
{
	while (len > 0)
	{
		ssize_t		n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die(what);
		data += n;
		len -= (size_t) n;
	}
}

void
ledger_add(json_t *record, bool lazy)
{
	char	   *line;

	json_object_set_new(record, "t", json_integer(clock_now()));
	line = json_dumps(record, JSON_COMPACT);
	if (line == NULL)
	{
		errno = ENOMEM;
		die("could not write a ledger record");
	}
	buf_adds(&pending, line);
	buf_addc(&pending, '\n');
	free(line);
	if (!lazy)
		need_sync = true;
	model_apply(record, ++sequence);
	json_decref(record);
}

void
ledger_commit(void)
{
	if (pending.len == 0)
		return;
	if (pending.failed)
	{
		errno = ENOMEM;
		die("could not write the ledger");
	}
	write_all(ledger_fd, pending.data, pending.len, "could not write the ledger");
	if (need_sync && !sandbox.opt.no_fsync && fdatasync(ledger_fd) != 0)
		die("could not flush the ledger");
	commits++;
	need_sync = false;
	buf_reset(&pending);
}

/*
 * Apply every line.  Returns the length of the good part, or -1 with err set.
 * An unreadable line is forgiven only if nothing follows it.
 */
static int64_t
replay(FILE *f, const char *path, char *err, size_t errsize)
{
	char	   *line = NULL;
	size_t		cap = 0;
	ssize_t		len;
	int64_t		good = 0;

	while ((len = getline(&line, &cap, f)) > 0)
	{
		json_t	   *record = NULL;

		if (line[len - 1] == '\n')
			record = json_loadb(line, (size_t) len - 1, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(record))
		{
			bool		last = fgetc(f) == EOF;

			json_decref(record);
			if (last)
				break;
			snprintf(err, errsize, "%s is damaged at byte %lld", path, (long long) good);
			free(line);
			return -1;
		}
		model_apply(record, ++sequence);
		json_decref(record);
		good += len;
	}
	free(line);
	return good;
}

bool
ledger_open(const char *path, bool writable, char *err, size_t errsize)
{
	int			fd = open(path, writable ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
	FILE	   *f;
	int64_t		good;
	off_t		size;

	if (fd < 0 || (size = lseek(fd, 0, SEEK_END)) < 0)
	{
		snprintf(err, errsize, "could not open %s: %s", path, strerror(errno));
		return false;
	}
	if (writable && flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		snprintf(err, errsize, "another sandbox is serving %s", path);
		close(fd);
		return false;
	}
	f = fopen(path, "re");
	good = f ? replay(f, path, err, errsize) : -1;
	if (f == NULL)
		snprintf(err, errsize, "could not read %s: %s", path, strerror(errno));
	else
		fclose(f);
	if (good < 0)
	{
		close(fd);
		return false;
	}
	torn_bytes = (int64_t) size > good ? (int64_t) size - good : 0;
	if (!writable)
	{
		close(fd);
		return true;
	}
	if (torn_bytes > 0 && (ftruncate(fd, good) != 0 || fdatasync(fd) != 0))
		die("could not cut the ledger's torn last line");
	if (lseek(fd, good, SEEK_SET) < 0)
		die("could not position the ledger");
	ledger_fd = fd;
	return true;
}

void
ledger_close(void)
{
	ledger_commit();
	logs_flush();
	if (ledger_fd >= 0)
		close(ledger_fd);
	ledger_fd = -1;
}

/* ---- wire.log and sandbox.log: written each turn, never flushed ---- */

static int
open_log(const char *dir, const char *name)
{
	char		path[1024];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

bool
logs_open(const char *dir)
{
	wire_fd = open_log(dir, "wire.log");
	text_fd = open_log(dir, "sandbox.log");
	return wire_fd >= 0 && text_fd >= 0;
}

void
logs_flush(void)
{
	if (wire.len > 0)
		write_all(wire_fd, wire.data, wire.len, "could not write wire.log");
	buf_reset(&wire);
	if (text.len > 0)
		write_all(text_fd, text.data, text.len, "could not write sandbox.log");
	buf_reset(&text);
}

/* Numbers come from outside: nothing that could break a line or a column. */
static void
add_field(Buf *out, const char *s)
{
	if (*s == '\0')
		buf_addc(out, '-');
	for (; *s; s++)
		buf_addc(out, *s > ' ' && *s < 0x7f ? *s : '?');
}

/*
 * When the first byte arrived (unix us), call, merchant, number, SHA-256 of
 * the business bytes: of the body, unless the channel says otherwise.  The
 * line is in the file before any answer leaves.
 */
void
log_wire(SbRequest *req)
{
	if (req->call == NULL || req->wire_logged ||
		(!req->business[0] && !sha256_hex(buf_str(&req->body), req->body.len, req->business)))
		return;
	req->wire_logged = true;
	buf_addf(&wire, "%lld\t%s\t", (long long) req->arrived_us, req->call);
	add_field(&wire, req->mchid);
	buf_addc(&wire, '\t');
	add_field(&wire, req->no);
	buf_addc(&wire, '\t');
	buf_addf(&wire, "%s\n", req->business);
}

static void
start_line(void)
{
	int64_t		now = wall_ms();
	char		when[40];

	format_time(now, when);
	buf_addf(&text, "%.19s.%03d ", when, (int) (now % 1000));
}

void
log_line(const char *fmt,...)
{
	char		line[512];
	va_list		ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	start_line();
	buf_adds(&text, line);
	buf_addc(&text, '\n');
}

/* Paths only: Alibaba's query carries the phone number. */
void
log_answer(const SbRequest *req)
{
	start_line();
	add_field(&text, req->method);
	buf_addc(&text, ' ');
	add_field(&text, buf_str(&req->path));
	if (req->action == ANSWER_RESET)
		buf_adds(&text, " reset");
	else
		buf_addf(&text, " %d", req->status);
	buf_addf(&text, " %.1fms", (double) (wall_us() - req->arrived_us) / 1000);
	if (req->no[0])
	{
		buf_addc(&text, ' ');
		add_field(&text, req->no);
	}
	buf_addc(&text, '\n');
}

/* ---- a record's members ---- */

const char *
record_string(const json_t *record, const char *name)
{
	const char *s = json_string_value(json_object_get(record, name));

	return s ? s : "";
}

int64_t
record_int(const json_t *record, const char *name)
{
	return json_integer_value(json_object_get(record, name));
}
