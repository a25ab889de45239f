/*-------------------------------------------------------------------------
 *
 * temp_file.c
 *	  A file without a name, for what is too large for memory.
 *
 * Where Postgres has its own temporary files, so that whoever gave them a disk of
 * their own is not surprised; but as a plain descriptor, which a library may read
 * and write without a function of Postgres' below it.  A File of Postgres' would
 * not do: its descriptor may be closed whenever another file is opened.
 *
 * src/base/temp_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/temp_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "storage/fd.h"

int
temp_file_open(void)
{
	File		file;
	int			fd;

	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no file descriptor is left for a temporary file"),
				 errhint("Raise max_files_per_process.")));
	PG_TRY();
	{
		file = OpenTemporaryFile(true);
	}
	PG_CATCH();
	{
		ReleaseExternalFD();
		PG_RE_THROW();
	}
	PG_END_TRY();
	fd = fcntl(FileGetRawDesc(file), F_DUPFD_CLOEXEC, 3);
	FileClose(file);			/* and with it its name */
	if (fd < 0)
	{
		ReleaseExternalFD();
		ereport(ERROR, (errcode_for_file_access(), errmsg("a temporary file could not be opened: %m")));
	}
	return fd;
}

void
temp_file_close(int fd)
{
	if (fd < 0)
		return;
	close(fd);
	ReleaseExternalFD();
}

void
temp_file_write(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0)
	{
		ssize_t		n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (n == 0)
				errno = ENOSPC;
			ereport(ERROR, (errcode_for_file_access(), errmsg("a temporary file could not be written: %m")));
		}
		p += n;
		len -= n;
	}
}
