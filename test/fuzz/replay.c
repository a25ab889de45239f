/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  A fuzzer for compilers without one: replays files, then mutates them at
 *	  random for a bounded time.
 *
 *		fuzz_x [-seconds=N] [-seed=N] file-or-directory...
 *
 * It knows nothing of coverage, so it finds less than libFuzzer does; but it
 * runs the same targets under the same sanitizers, and a file that libFuzzer
 * left behind is replayed by naming it.
 *
 * test/fuzz/replay.c
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUTS_MAX	4096
#define INPUT_SIZE	65536

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input
{
	uint8_t    *data;
	size_t		size;
} Input;

static Input inputs[INPUTS_MAX];
static int	input_count = 0;
static uint64_t random_state;

/* xorshift: the same seed gives the same run */
static uint32_t
next_random(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 16) % below;
}

static void
load_file(const char *path)
{
	FILE	   *f = fopen(path, "rb");
	uint8_t    *data = malloc(INPUT_SIZE);

	if (f == NULL || data == NULL || input_count == INPUTS_MAX)
	{
		fprintf(stderr, "cannot load %s\n", path);
		exit(2);
	}
	inputs[input_count].data = data;
	inputs[input_count++].size = fread(data, 1, INPUT_SIZE, f);
	fclose(f);
}

static void
load(const char *path)
{
	struct stat st;
	struct dirent *entry;
	DIR		   *dir;
	char		name[4096];

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
	{
		load_file(path);
		return;
	}
	dir = opendir(path);
	if (dir == NULL)
	{
		fprintf(stderr, "cannot read %s\n", path);
		exit(2);
	}
	while ((entry = readdir(dir)) != NULL)
	{
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
			load_file(name);
	}
	closedir(dir);
}

/* On the heap and no byte longer, so that the sanitizer sees a byte too far. */
static void
run_one(const uint8_t *data, size_t size)
{
	uint8_t    *copy = malloc(size ? size : 1);

	if (copy == NULL)
		exit(2);
	if (size > 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static size_t
mutate(uint8_t *data, size_t size)
{
	static const char *const words[] = {
		"\"", "{", "}", "[", "]", ":", ",", "null", "-1", "9223372036854775807", "1e999", "\\u0000",
		"\\ud83d\\ude00", "\xff", "\xe5\x95\x86\xe6\x88\xb7", "SUCCESS", "REFUND.", "=", "\n"};
	const char *word;
	const Input *other;
	size_t		at = size ? next_random((uint32_t) size) : 0;
	size_t		n;

	switch (next_random(6))
	{
		case 0:					/* flip a bit */
			if (size > 0)
				data[at] ^= (uint8_t) (1 << next_random(8));
			break;
		case 1:					/* another byte */
			if (size > 0)
				data[at] = (uint8_t) next_random(256);
			break;
		case 2:					/* cut a piece out */
			n = size ? next_random((uint32_t) (size - at) + 1) : 0;
			memmove(data + at, data + at + n, size - at - n);
			size -= n;
			break;
		case 3:					/* put a word in */
			word = words[next_random(sizeof(words) / sizeof(words[0]))];
			n = strlen(word);
			if (size + n > INPUT_SIZE)
				break;
			memmove(data + at + n, data + at, size - at);
			memcpy(data + at, word, n);
			size += n;
			break;
		case 4:					/* repeat a piece */
			n = size ? next_random((uint32_t) (size - at) + 1) : 0;
			if (size + n > INPUT_SIZE)
				break;
			memmove(data + at + n, data + at, size - at);
			size += n;
			break;
		default:				/* go on as another input does */
			other = &inputs[next_random((uint32_t) input_count)];
			if (at < other->size)
			{
				memcpy(data + at, other->data + at, other->size - at);
				size = other->size;
			}
			break;
	}
	return size;
}

int
main(int argc, char **argv)
{
	static uint8_t data[INPUT_SIZE];
	long		seconds = 0;
	long		runs = 0;
	time_t		end;
	int			i;

	random_state = 88172645463325252u;
	for (i = 1; i < argc; i++)
	{
		if (strncmp(argv[i], "-seconds=", 9) == 0)
			seconds = atol(argv[i] + 9);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			random_state ^= (uint64_t) atoll(argv[i] + 6) * 0x9e3779b97f4a7c15u;
		else
			load(argv[i]);
	}
	if (input_count == 0)
	{
		fprintf(stderr, "usage: %s [-seconds=N] [-seed=N] file-or-directory...\n", argv[0]);
		return 2;
	}
	for (i = 0; i < input_count; i++, runs++)
		run_one(inputs[i].data, inputs[i].size);
	end = time(NULL) + seconds;
	while (time(NULL) < end)
	{
		const Input *from = &inputs[next_random((uint32_t) input_count)];
		size_t		size = from->size;
		uint32_t	rounds = 1 + next_random(8);

		memcpy(data, from->data, size);
		while (rounds-- > 0)
			size = mutate(data, size);
		run_one(data, size);
		runs++;
	}
	fprintf(stderr, "%ld runs\n", runs);
	return 0;
}
