/*-------------------------------------------------------------------------
 *
 * test_crypto_keyfile.c
 *	  Key files: modes, owners, kinds, names, and what messages may not say.
 *
 * Owners can be tested by root only; without it those checks are skipped by
 * name, not silently.
 *
 * test/unit/test_crypto_keyfile.c
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "unit.h"

static char dir[] = "/tmp/refundx_keys_XXXXXX";
static char err[512];

static void
put_file(const char *name, const char *text, mode_t mode)
{
	char		path[256];
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void) unlink(path);		/* its mode may forbid even us to write, unless root */
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0 || chmod(path, mode) != 0)
	{
		printf("Bail out! cannot write %s\n", path);
		exit(1);
	}
}

static void
expect(const char *name, bool secret, KeyFileStatus want, const char *words, const char *title)
{
	Buf			out = BUF_INIT;

	err[0] = '\0';
	is_int(key_file_read(dir, name, secret, &out, err, sizeof(err)), want, title);
	if (want == KEY_FILE_OK)
		is_str(buf_str(&out), "the secret", "its contents");
	else
	{
		has(err, words, "in plain words");
		lacks(err, "the secret", "without its contents");
		is_int(out.len, 0, "and nothing was read");
	}
	buf_free(&out);
}

static void
test_modes(void)
{
	static const mode_t good[] = {0600, 0400, 0700};
	static const mode_t open_to_others[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666, 0777};
	size_t		i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		put_file("key.pem", "the secret", good[i]);
		expect("key.pem", true, KEY_FILE_OK, NULL, "a private mode");
	}
	for (i = 0; i < sizeof(open_to_others) / sizeof(open_to_others[0]); i++)
	{
		put_file("key.pem", "the secret", open_to_others[i]);
		expect("key.pem", true, KEY_FILE_MODE_TOO_OPEN, "chmod 0600", "a mode that is too open");
	}
	put_file("pub.pem", "the secret", 0644);
	expect("pub.pem", false, KEY_FILE_OK, NULL, "a public key may be read by all");
	put_file("pub.pem", "the secret", 0664);
	expect("pub.pem", false, KEY_FILE_MODE_TOO_OPEN, "go-w", "but not written by a group");
	put_file("pub.pem", "the secret", 0646);
	expect("pub.pem", false, KEY_FILE_MODE_TOO_OPEN, "go-w", "nor by the world");
}

static void
test_names(void)
{
	Buf			out = BUF_INIT;
	char		long_name[300];

	expect("", true, KEY_FILE_BAD_NAME, "no slash", "an empty name");
	expect(".hidden", true, KEY_FILE_BAD_NAME, "no dot", "a dot in front");
	expect("..", true, KEY_FILE_BAD_NAME, "no dot", "the parent");
	expect("../key.pem", true, KEY_FILE_BAD_NAME, "no dot", "a way out");
	expect("a/key.pem", true, KEY_FILE_BAD_NAME, "no slash", "a path");
	expect("/etc/passwd", true, KEY_FILE_BAD_NAME, "no slash", "an absolute path");
	expect("key\n.pem", true, KEY_FILE_BAD_NAME, "no slash", "a newline");
	memset(long_name, 'a', 80);
	memset(long_name + 80, '.', sizeof(long_name) - 80);
	long_name[sizeof(long_name) - 1] = '\0';
	expect(long_name, true, KEY_FILE_BAD_NAME, "at most 255", "a name of 299 bytes");
	expect("-----BEGIN PRIVATE KEY-----MIIEsecret", true, KEY_FILE_BAD_NAME,
		   "a key was given", "a key that was pasted");
	lacks(err, "MIIE", "is not repeated");
	expect("absent.pem", true, KEY_FILE_MISSING, "absent.pem", "a missing file");
	is_int(key_file_read("", "key.pem", true, &out, err, sizeof(err)), KEY_FILE_NO_DIRECTORY,
		   "no directory configured");
	has(err, "refundx.key_directory", "names the setting");
	is_int(key_file_read(NULL, "key.pem", true, &out, err, sizeof(err)), KEY_FILE_NO_DIRECTORY,
		   "no directory at all");
	is_int(key_file_read("/tmp/refundx_no_such", "key.pem", true, &out, err, sizeof(err)),
		   KEY_FILE_NO_DIRECTORY, "a missing directory");
	buf_free(&out);
}

static void
test_kinds(void)
{
	char		path[256],
				target[256];
	char	   *large = malloc(70000);

	snprintf(path, sizeof(path), "%s/folder", dir);
	mkdir(path, 0700);
	expect("folder", true, KEY_FILE_NOT_REGULAR, "regular", "a directory");
	snprintf(path, sizeof(path), "%s/pipe", dir);
	if (mkfifo(path, 0600) == 0)
		expect("pipe", true, KEY_FILE_NOT_REGULAR, "regular", "a FIFO, without waiting");
	memset(large, 'x', 65536);
	large[65536] = '\0';
	put_file("full.pem", large, 0600);
	{
		Buf			out = BUF_INIT;

		is_int(key_file_read(dir, "full.pem", true, &out, err, sizeof(err)), KEY_FILE_OK,
			   "64 KiB are the most");
		is_int(out.len, 65536, "all of it");
		buf_free(&out);
	}
	large[65536] = 'x';
	large[65537] = '\0';
	put_file("large.pem", large, 0600);
	expect("large.pem", true, KEY_FILE_TOO_LARGE, "65537", "one byte more is too large");

	put_file("target.pem", "the secret", 0600);
	snprintf(path, sizeof(path), "%s/link.pem", dir);
	snprintf(target, sizeof(target), "%s/target.pem", dir);
	if (symlink(target, path) == 0)
	{
		expect("link.pem", true, KEY_FILE_OK, NULL, "a symbolic link is followed");
		chmod(target, 0644);
		expect("link.pem", true, KEY_FILE_MODE_TOO_OPEN, "0644", "and its target is judged");
	}
	free(large);
}

/* In a child of another user: root's files, and files of a third. */
static void
test_owners(void)
{
	char		path[256];
	int			status = -1;
	pid_t		pid;

	if (geteuid() != 0)
	{
		printf("ok %d - # SKIP owners can be tested by root only\n", ++unit_count);
		return;
	}
	put_file("third.pem", "the secret", 0600);
	snprintf(path, sizeof(path), "%s/third.pem", dir);
	if (chown(path, 4242, 4242) != 0)
		return;
	expect("third.pem", true, KEY_FILE_WRONG_OWNER, "belongs to user 4242", "a third user's file");
	expect("third.pem", false, KEY_FILE_WRONG_OWNER, "belongs to user 4242", "a public one too");

	put_file("group.pem", "the secret", 0640);
	snprintf(path, sizeof(path), "%s/group.pem", dir);
	if (chown(path, 0, 4343) != 0 || chmod(path, 0640) != 0 || chmod(dir, 0755) != 0)
		return;
	put_file("world.pem", "the secret", 0644);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		Buf			out = BUF_INIT;
		int			bad = 0;

		if (setgid(4343) != 0 || setuid(4444) != 0)
			_exit(99);
		bad |= key_file_read(dir, "group.pem", true, &out, err, sizeof(err)) != KEY_FILE_OK;
		bad |= (key_file_read(dir, "world.pem", true, &out, err, sizeof(err)) !=
				KEY_FILE_MODE_TOO_OPEN) << 1;
		bad |= (key_file_read(dir, "third.pem", true, &out, err, sizeof(err)) !=
				KEY_FILE_UNREADABLE) << 2;
		_exit(bad);
	}
	waitpid(pid, &status, 0);
	is_int(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0,
		   "root's 0640 file is readable through its group, its 0644 one is refused, "
		   "and one that cannot be opened is unreadable");
}

static void
test_pasted(void)
{
	char		run[160];

	ok(looks_like_private_key("-----BEGIN RSA PRIVATE KEY-----"), "a PEM header");
	ok(looks_like_private_key("{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIE\"}"),
	   "inside JSON");
	memset(run, 'M', 120);
	run[120] = '\0';
	ok(looks_like_private_key(run), "long base64 without a header");
	memset(run, 'M', 150);
	run[150] = '\0';
	run[60] = run[121] = '\n';
	ok(looks_like_private_key(run), "over several lines");
	run[60] = run[121] = '\\';
	run[61] = run[122] = 'n';
	ok(looks_like_private_key(run), "with JSON's line breaks");
	ok(!looks_like_private_key("apiclient_key.pem"), "a file name is none");
	ok(!looks_like_private_key("{\"mchid\":\"1900000100\",\"merchant_serial\":"
							   "\"408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB\","
							   "\"base_url\":\"https://api.mch.weixin.qq.com\"}"),
	   "nor is an ordinary configuration");
}

int
main(void)
{
	char		command[64];

	if (mkdtemp(dir) == NULL)
	{
		printf("Bail out! no temporary directory\n");
		return 1;
	}
	umask(0);
	test_modes();
	test_names();
	test_kinds();
	test_owners();
	test_pasted();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		printf("# %s is left behind\n", dir);
	return unit_done();
}
