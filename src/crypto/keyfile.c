/*-------------------------------------------------------------------------
 *
 * keyfile.c
 *	  Reading key files as carefully as the server reads ssl_key_file.
 *
 * The file is opened first and judged by its descriptor, so nobody can swap
 * it between the check and the read.  A name is one path component: the
 * database can choose among the files of the key directory, and reach nothing
 * else of the server's.  Symbolic links are followed, because secret stores
 * deliver files that way; where they lead is judged like any file.
 *
 * No message ever contains a byte of a file, nor a name that looks like a key
 * that was pasted where its name belongs.
 *
 * src/crypto/keyfile.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/crypto.h"

#define KEY_FILE_MAX	(64 * 1024)
#define KEY_NAME_MAX	255
#define PASTED_RUN		100		/* so many base64 characters are no name */

static bool name_acceptable(const char *name);
static KeyFileStatus open_failed(const char *directory, const char *name,
								 char *err, size_t errsize);
static KeyFileStatus judge_file(const struct stat *st, const char *name, bool secret,
								char *err, size_t errsize);
static KeyFileStatus read_all(int fd, const char *name, Buf *out, char *err, size_t errsize);

static bool
name_acceptable(const char *name)
{
	size_t		i;

	if (name[0] == '\0' || name[0] == '.' || strlen(name) > KEY_NAME_MAX)
		return false;
	for (i = 0; name[i] != '\0'; i++)
		if (name[i] == '/' || iscntrl((unsigned char) name[i]))
			return false;
	return true;
}

/* Called with errno of the failed open. */
static KeyFileStatus
open_failed(const char *directory, const char *name, char *err, size_t errsize)
{
	int			save_errno = errno;
	struct stat st;

	if (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode))
	{
		snprintf(err, errsize, "the key directory \"%s\" does not exist or cannot be entered; "
				 "create it, owned by the server's user, mode 0700", directory);
		return KEY_FILE_NO_DIRECTORY;
	}
	if (save_errno == ENOENT)
	{
		snprintf(err, errsize, "there is no file \"%s\" in the key directory \"%s\"",
				 name, directory);
		return KEY_FILE_MISSING;
	}
	/* a socket cannot be opened at all */
	if (save_errno == ENXIO)
	{
		snprintf(err, errsize, "\"%s\" is not a regular file", name);
		return KEY_FILE_NOT_REGULAR;
	}
	snprintf(err, errsize, "the file \"%s\" cannot be opened: %s", name, strerror(save_errno));
	return KEY_FILE_UNREADABLE;
}

static KeyFileStatus
judge_file(const struct stat *st, const char *name, bool secret, char *err, size_t errsize)
{
	unsigned int mode = (unsigned int) st->st_mode & 07777;
	unsigned int forbidden;

	if (!S_ISREG(st->st_mode))
	{
		snprintf(err, errsize, "\"%s\" is not a regular file", name);
		return KEY_FILE_NOT_REGULAR;
	}
	if (st->st_uid != geteuid() && st->st_uid != 0)
	{
		snprintf(err, errsize, "the file \"%s\" belongs to user %lu; "
				 "it must belong to the server's user (%lu) or to root",
				 name, (unsigned long) st->st_uid, (unsigned long) geteuid());
		return KEY_FILE_WRONG_OWNER;
	}

	/*
	 * The rule of ssl_key_file: ours is for us alone; root's may be read
	 * through a group, so that a system-wide key store works.
	 */
	if (!secret)
		forbidden = S_IWGRP | S_IWOTH;
	else if (st->st_uid == geteuid())
		forbidden = S_IRWXG | S_IRWXO;
	else
		forbidden = S_IWGRP | S_IXGRP | S_IRWXO;
	if (mode & forbidden)
	{
		snprintf(err, errsize, "the file \"%s\" has mode %04o, which lets others %s it; "
				 "run: chmod %s", name, mode, secret ? "use" : "change",
				 secret ? "0600" : "go-w");
		return KEY_FILE_MODE_TOO_OPEN;
	}
	if (st->st_size > KEY_FILE_MAX)
	{
		snprintf(err, errsize, "the file \"%s\" is %lld bytes long; a key is never over %lld",
				 name, (long long) st->st_size, (long long) KEY_FILE_MAX);
		return KEY_FILE_TOO_LARGE;
	}
	return KEY_FILE_OK;
}

/*
 * By way of the stack, and into the buffer at once: a buffer that grew would
 * leave pieces of the key behind in freed memory.
 */
static KeyFileStatus
read_all(int fd, const char *name, Buf *out, char *err, size_t errsize)
{
	char		text[KEY_FILE_MAX + 1];
	size_t		total = 0;
	ssize_t		n = 1;
	KeyFileStatus status = KEY_FILE_OK;

	while (n != 0 && total < sizeof(text))
	{
		n = read(fd, text + total, sizeof(text) - total);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
		{
			snprintf(err, errsize, "the file \"%s\" cannot be read: %s", name, strerror(errno));
			status = KEY_FILE_UNREADABLE;
			break;
		}
		total += (size_t) n;
	}
	if (status == KEY_FILE_OK && total > KEY_FILE_MAX)
	{
		snprintf(err, errsize, "the file \"%s\" grew while it was read", name);
		status = KEY_FILE_TOO_LARGE;
	}
	if (status == KEY_FILE_OK)
	{
		buf_add(out, text, total);
		if (out->failed)
		{
			snprintf(err, errsize, "out of memory while reading \"%s\"", name);
			status = KEY_FILE_UNREADABLE;
		}
	}
	explicit_bzero(text, sizeof(text));
	return status;
}

KeyFileStatus
key_file_read(const char *directory, const char *name, bool secret,
			  Buf *out, char *err, size_t errsize)
{
	Buf			path = BUF_INIT;
	struct stat st;
	KeyFileStatus status;
	int			fd;

	if (name == NULL || looks_like_private_key(name))
	{
		snprintf(err, errsize, "a key was given where the name of a file belongs");
		return KEY_FILE_BAD_NAME;
	}
	if (!name_acceptable(name))
	{
		snprintf(err, errsize, "a key file is named without its directory: not empty, "
				 "no slash, no dot in front, at most %d bytes", KEY_NAME_MAX);
		return KEY_FILE_BAD_NAME;
	}
	if (directory == NULL || directory[0] == '\0')
	{
		snprintf(err, errsize, "no key directory is configured; set refundx.key_directory");
		return KEY_FILE_NO_DIRECTORY;
	}
	buf_addf(&path, "%s/%s", directory, name);

	/* O_NONBLOCK: opening a FIFO must not wait for somebody to write */
	fd = path.failed ? -1 : open(buf_str(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		status = open_failed(directory, name, err, errsize);
	else if (fstat(fd, &st) != 0)
	{
		snprintf(err, errsize, "the file \"%s\" cannot be examined: %s", name, strerror(errno));
		status = KEY_FILE_UNREADABLE;
	}
	else
		status = judge_file(&st, name, secret, err, errsize);
	if (status == KEY_FILE_OK)
		status = read_all(fd, name, out, err, errsize);
	if (status != KEY_FILE_OK)
		buf_wipe(out);
	if (fd >= 0)
		close(fd);
	buf_free(&path);
	return status;
}

/*
 * A PEM header, or base64 longer than any name is.  Line breaks inside the
 * base64 do not end it, neither real ones nor those that JSON spells "\n",
 * so that a whole JSON text can be asked about before it is parsed.
 */
bool
looks_like_private_key(const char *s)
{
	size_t		run = 0;

	if (strstr(s, "PRIVATE KEY") != NULL || strstr(s, "-----BEGIN") != NULL)
		return true;
	for (; *s != '\0'; s++)
	{
		if (isalnum((unsigned char) *s) || *s == '+' || *s == '/' || *s == '=')
			run++;
		else if (*s == '\\' && (s[1] == 'n' || s[1] == 'r'))
			s++;
		else if (*s != '\n' && *s != '\r')
			run = 0;
		if (run >= PASTED_RUN)
			return true;
	}
	return false;
}
