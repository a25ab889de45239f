/*-------------------------------------------------------------------------
 *
 * test_crypto_merkle.c
 *	  Merkle trees against the vectors of Certificate Transparency, and every
 *	  path of small trees against their roots.
 *
 * test/unit/test_crypto_merkle.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "crypto/crypto.h"

#define TREE_MAX	70

static const char *const inputs[] = {
	"", "00", "10", "2021", "3031", "40414243", "5051525354555657",
	"606162636465666768696a6b6c6d6e6f"
};

/* Of the first n of them. */
static const char *const roots[] = {
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
};

static void
hex_of(const unsigned char hash[HASH_LEN], char out[65])
{
	Buf			b = BUF_INIT;

	hex_encode(&b, hash, HASH_LEN);
	str_copy(out, 65, buf_str(&b));
	buf_free(&b);
}

static void
test_vectors(void)
{
	unsigned char leaves[8][HASH_LEN];
	unsigned char root[HASH_LEN];
	char		hex[65];
	int			i;

	for (i = 0; i < 8; i++)
	{
		Buf			data = BUF_INIT;

		ok(hex_decode(&data, inputs[i], strlen(inputs[i])) &&
		   merkle_leaf(data.data, data.len, leaves[i]), "leaf %d", i);
		buf_free(&data);
	}
	for (i = 0; i <= 8; i++)
	{
		ok(merkle_root((const unsigned char (*)[HASH_LEN]) leaves, i, root), "a root of %d", i);
		hex_of(root, hex);
		is_str(hex, roots[i], "is known");
	}
}

/* From a leaf up to the root, as an auditor goes. */
static void
climb(const unsigned char leaf[HASH_LEN], const MerkleStep *path, int n, unsigned char out[HASH_LEN])
{
	unsigned char node[1 + 2 * HASH_LEN];
	int			i;

	memcpy(out, leaf, HASH_LEN);
	for (i = 0; i < n; i++)
	{
		node[0] = 0x01;
		memcpy(node + 1, path[i].left ? path[i].hash : out, HASH_LEN);
		memcpy(node + 1 + HASH_LEN, path[i].left ? out : path[i].hash, HASH_LEN);
		sha256(node, sizeof(node), out);
	}
}

static void
test_paths(void)
{
	unsigned char leaves[TREE_MAX][HASH_LEN];
	unsigned char root[HASH_LEN];
	unsigned char climbed[HASH_LEN];
	MerkleStep	path[MERKLE_PATH_MAX];
	int			good = 0;
	int			wanted = 0;
	int			n;
	int			i;

	for (i = 0; i < TREE_MAX; i++)
		merkle_leaf(&i, sizeof(i), leaves[i]);
	for (n = 1; n <= TREE_MAX; n++)
	{
		merkle_root((const unsigned char (*)[HASH_LEN]) leaves, n, root);
		for (i = 0; i < n; i++)
		{
			int			len = merkle_path((const unsigned char (*)[HASH_LEN]) leaves, n, i, path);

			wanted++;
			climb(leaves[i], path, len, climbed);
			if (len >= 0 && len <= 7 && memcmp(climbed, root, HASH_LEN) == 0)
				good++;
		}
	}
	is_int(good, wanted, "every path of every tree leads to its root");

	/* and not from another leaf */
	i = merkle_path((const unsigned char (*)[HASH_LEN]) leaves, TREE_MAX, 3, path);
	climb(leaves[4], path, i, climbed);
	ok(memcmp(climbed, root, HASH_LEN) != 0, "another leaf does not come to it");
	is_int(merkle_path((const unsigned char (*)[HASH_LEN]) leaves, 5, 5, path), -1, "there is no sixth of five");
	is_int(merkle_path((const unsigned char (*)[HASH_LEN]) leaves, 1, 0, path), 0, "one leaf is its own root");
}

int
main(void)
{
	test_vectors();
	test_paths();
	return unit_done();
}
