/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_node.c
 *	  The scanner that finds the signed bytes: any body.  Where a parser takes
 *	  the same body for JSON, both must have found the same node, so that what
 *	  is verified is what anybody would read.
 *
 * test/fuzz/fuzz_alipay_node.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/alipay.h"
#include "fuzz_alipay.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *body = malloc(size ? size : 1);
	AlipayNode	node;
	const char *why = NULL;
	json_t	   *root;

	fuzz_alipay_start();
	fuzz_require(body != NULL);
	memcpy(body, data, size);
	if (alipay_node_find(body, size, AKIT_NODE, &node, &why))
	{
		fuzz_require(node.data >= body && node.data + node.len <= body + size && node.len >= 2);
		fuzz_require(node.is_object == (node.data[0] == '{'));
		fuzz_require(node.is_object || node.data[node.len - 1] == '"');
		fuzz_require(node.sign == NULL || (node.sign > body && node.sign + node.signlen < body + size));
		fuzz_require(node.sn == NULL || (node.sn > body && node.sn + node.snlen < body + size));

		root = json_hostile_object(body, size);
		if (root != NULL)
		{
			const json_t *seen = json_object_get(root, node.is_error ? ALIPAY_NODE_ERROR : AKIT_NODE);
			json_t	   *mine = json_loadb(node.data, node.len, JSON_DECODE_ANY, NULL);

			fuzz_require(seen != NULL && mine != NULL && json_equal((json_t *) seen, mine));
			json_decref(mine);
			json_decref(root);
		}
	}
	else
		fuzz_require(why != NULL && why[0] != '\0');
	fuzz_require(ERR_peek_error() == 0);
	free(body);
	return 0;
}
