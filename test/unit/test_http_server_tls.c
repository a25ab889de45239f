/*-------------------------------------------------------------------------
 *
 * test_http_server_tls.c
 *	  The HTTP client and the HTTP server against each other, over TLS.
 *
 * test/unit/test_http_server_tls.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <openssl/x509v3.h>

#include "net/http_client.h"
#include "test_http_server_peer.h"
#include "testkeys.h"

static void
check_made(bool good, const char *what)
{
	if (good)
		return;
	printf("Bail out! cannot make %s\n", what);
	exit(2);
}

/* A certificate for 127.0.0.1 that signs itself, good from now on for a day. */
static void
make_certificate(Buf *cert_pem, Buf *key_pem)
{
	EVP_PKEY   *pkey = testkey_new(2048);
	X509	   *cert = X509_new();
	BIO		   *bio = BIO_new(BIO_s_mem());
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	char	   *data;
	long		len;

	check_made(cert && bio && san && ca, "a certificate");
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
							   (const unsigned char *) "refundx test", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, pkey);
	X509_add_ext(cert, san, -1);
	X509_add_ext(cert, ca, -1);
	check_made(X509_sign(cert, pkey, EVP_sha256()) > 0, "its signature");
	check_made(PEM_write_bio_X509(bio, cert) == 1, "its PEM");
	len = BIO_get_mem_data(bio, &data);
	buf_add(cert_pem, data, (size_t) len);
	testkey_private_pem(pkey, key_pem);
	X509_EXTENSION_free(san);
	X509_EXTENSION_free(ca);
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(pkey);
}

static void
write_file(char *path, const Buf *contents)
{
	int			fd = mkstemp(path);

	check_made(fd >= 0 && write(fd, contents->data, contents->len) == (ssize_t) contents->len,
			   "a file");
	close(fd);
}

static HttpClient *
make_client(const char *ca_file)
{
	HttpClientOptions o = {.ca_file = ca_file, .user_agent = "refundx-test"};
	char		err[200] = "";
	HttpClient *client = http_client_create(&o, err, sizeof(err));

	check_made(client != NULL, err);
	return client;
}

/* One call, with both ends moved by this loop. */
static HttpAnswer
call(HttpClient *client, const char *host, int max_turns_ms)
{
	HttpRequest r;
	HttpAnswer	a;
	HttpServerRequest *in;
	void	   *ticket = NULL;
	char		err[160] = "";
	int64_t		end = now_ms() + max_turns_ms;

	http_request_init(&r);
	str_copy(r.method, sizeof(r.method), "POST");
	buf_addf(&r.url, "https://%s:%d/v1/x", host, http_server_port(server));
	buf_adds(&r.body, "body");
	r.connect_timeout_ms = r.total_timeout_ms = DEADLINE_MS;
	check_made(http_client_send(client, &r, &r, err, sizeof(err)), err);
	while (!http_client_next(client, &ticket, &a))
	{
		struct pollfd pfd[2] = {{http_client_fd(client), POLLIN, 0},
		{http_server_fd(server), POLLIN, 0}};

		check_made(now_ms() < end, "progress");
		if (http_client_timeout_ms(client) != 0 && http_server_timeout_ms(server) != 0)
			poll(pfd, 2, 20);
		http_client_run(client);
		http_server_run(server);
		while ((in = http_server_next(server)) != NULL)
			http_server_answer(server, in, 200, "text/plain", buf_str(http_server_request_body(in)),
							   http_server_request_body(in)->len);
	}
	http_request_free(&r);
	return a;
}

int
main(void)
{
	Buf			cert = BUF_INIT;
	Buf			key = BUF_INIT;
	char		ca_file[] = "/tmp/refundx_test_ca_XXXXXX";
	HttpServerOptions o = {0};
	HttpClient *client;
	HttpAnswer	a;
	int			good = 0;
	int			fd;
	int			i;

	signal(SIGPIPE, SIG_IGN);
	make_certificate(&cert, &key);
	write_file(ca_file, &cert);
	o.tls_certificate = buf_str(&cert);
	o.tls_key = buf_str(&key);
	o.request_timeout_ms = 1000;
	server_up(o);

	client = make_client(ca_file);
	a = call(client, "127.0.0.1", DEADLINE_MS);
	is_int(a.outcome, HTTP_ANSWERED, "a call over TLS");
	is_str(buf_str(&a.body), "body", "its body came and went");
	ok(a.connect_us > 0, "the time of the handshake is known");
	http_answer_free(&a);
	for (i = 0; i < 50; i++)
	{
		a = call(client, "127.0.0.1", DEADLINE_MS);
		good += a.status == 200 && a.connect_us == 0;
		http_answer_free(&a);
	}
	is_int(good, 50, "fifty more on the same connection");
	is_int(stats().accepted, 1, "... which is the only one");

	a = call(client, "localhost", DEADLINE_MS);
	is_int(a.outcome, HTTP_NOT_SENT, "a certificate for another name: nothing is sent");
	http_answer_free(&a);
	http_client_destroy(client);

	client = make_client(NULL);
	a = call(client, "127.0.0.1", DEADLINE_MS);
	is_int(a.outcome, HTTP_NOT_SENT, "a certificate that nobody trusts: nothing is sent");
	http_answer_free(&a);
	http_client_destroy(client);
	is_int(stats().requests, 51, "and nothing arrived");

	fd = try_connect();
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	ok(is_closed(fd), "plain HTTP on the TLS port is closed");
	close(fd);
	fd = try_connect();
	ok(is_closed(fd), "a client that never starts its handshake is cut off");
	close(fd);
	is_int(stats().timed_out, 1, "and counted");
	http_server_stop(server);
	is_int(fds_held, 0, "descriptors are given back");
	unlink(ca_file);
	buf_free(&cert);
	buf_wipe(&key);
	return unit_done();
}
