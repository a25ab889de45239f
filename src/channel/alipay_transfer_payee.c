/*-------------------------------------------------------------------------
 *
 * alipay_transfer_payee.c
 *	  Whom a transfer of Alipay's pays: read, checked, masked.
 *
 * What stands in a payee is a person's: it goes into the request, and its
 * identity into a keyed hash.  No message made here repeats a word of it, not
 * even the name of a member that is unknown, for that may be a card number
 * that was written on the wrong side of the colon.
 *
 * The lengths are those of payee_info and bankcard_ext_info of
 * alipay.fund.trans.uni.transfer.  They are documented without a unit: bytes
 * are the safe reading.
 *
 * src/channel/alipay_transfer_payee.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/alipay.h"

#define DIGITS				"0123456789"
#define LETTERS				"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define USER_ID_LEN			16
#define LOGON_MAX			64
#define OPEN_ID_MAX			128
#define NAME_MAX_BYTES		128
#define CARD_MIN			13	/* ISO/IEC 7812 has 8 to 19; no bank card has fewer than 13 */
#define CARD_MAX			19
#define ACCOUNT_MIN			6	/* a company's account is no card: its bank's own form */
#define ACCOUNT_MAX			32
#define SHOWN_HEAD			4	/* of an account, at most, in front and behind */
#define SHOWN_TAIL			4

#define PAYEE_HINT \
	"A payee has exactly one of user_id, logon_id, open_id and card_no; name; and for a card " \
	"account_type, inst_name, bank_code, inst_province, inst_city and inst_branch_name."

typedef struct PayeeForm
{
	const char *member;
	const char *type;			/* payee_info.identity_type */
	const char *noun;			/* in the masked form */
	bool		(*good) (const AlipayPayee *payee, ChannelError *err);
} PayeeForm;

static bool user_id_good(const AlipayPayee *payee, ChannelError *err);
static bool logon_id_good(const AlipayPayee *payee, ChannelError *err);
static bool open_id_good(const AlipayPayee *payee, ChannelError *err);
static bool card_no_good(const AlipayPayee *payee, ChannelError *err);
static bool passes_luhn(const char *digits);
static bool is_mail(const char *s);
static bool is_phone(const char *s);
static bool read_kind(AlipayPayee *payee, ChannelError *err);
static bool read_account_type(AlipayPayee *payee, ChannelError *err);
static bool read_texts(AlipayPayee *payee, ChannelError *err);
static bool whole(const AlipayPayee *payee, ChannelError *err);
static void mask_ends(const char *s, size_t len, size_t head, size_t tail, Buf *out);
static void mask_account(const AlipayPayee *payee, Buf *out);
static void mask_name(const char *name, Buf *out);

static const PayeeForm forms[] = {
	[ALIPAY_PAYEE_USER] = {"user_id", "ALIPAY_USER_ID", "user", user_id_good},
	[ALIPAY_PAYEE_LOGON] = {"logon_id", "ALIPAY_LOGON_ID", "account", logon_id_good},
	[ALIPAY_PAYEE_OPEN] = {"open_id", "ALIPAY_OPEN_ID", "openid", open_id_good},
	[ALIPAY_PAYEE_CARD] = {"card_no", "BANKCARD_ACCOUNT", "card", card_no_good},
};

/* Of a bank card only, as they are called in bankcard_ext_info. */
static const struct
{
	const char *name;
	size_t		max;
}			bank_texts[ALIPAY_BANK_TEXTS] = {
	[ALIPAY_BANK_NAME] = {"inst_name", 64},
	[ALIPAY_BANK_PROVINCE] = {"inst_province", 64},
	[ALIPAY_BANK_CITY] = {"inst_city", 64},
	[ALIPAY_BANK_BRANCH] = {"inst_branch_name", 128},
	[ALIPAY_BANK_CODE] = {"bank_code", 20},
};

/* ---- one text ---- */

/*
 * A text that may go to Alipay: no control characters, and none of four bytes,
 * for a gateway that changed one on the way would verify another string than
 * was signed, which stops everything that the merchant sends.
 */
bool
alipay_text_good(const json_t *v, size_t max)
{
	const char *s = json_string_value(v);
	size_t		len = json_string_length(v);
	size_t		i;

	if (s == NULL || len < 1 || len > max || utf8_has_four_bytes(s, len))
		return false;
	for (i = 0; i < len; i++)
		if ((unsigned char) s[i] < ' ' || s[i] == 0x7f)
			return false;
	return true;
}

/* ---- each way to name somebody ---- */

static bool
user_id_good(const AlipayPayee *payee, ChannelError *err)
{
	if (strlen(payee->id) == USER_ID_LEN && strspn(payee->id, DIGITS) == USER_ID_LEN &&
		strncmp(payee->id, "2088", 4) == 0)
		return true;
	return channel_error(err, "It is what Alipay's login gives an app. An account's telephone number or "
						 "mail address is a logon_id.",
						 "payee.user_id must be an Alipay user's number: 16 digits that begin with 2088");
}

static bool
is_mail(const char *s)
{
	const char *at = strchr(s, '@');

	return at != NULL && at != s && strchr(at + 1, '@') == NULL &&
		strchr(at + 1, '.') != NULL && at[1] != '.' && s[strlen(s) - 1] != '.' &&
		strspn(s, DIGITS LETTERS "@.!#$%&'*+-/=?^_`{|}~") == strlen(s);
}

/* Of mainland China, or with the country's prefix and '-' as Alipay writes it. */
static bool
is_phone(const char *s)
{
	size_t		first = strspn(s, DIGITS);
	size_t		second;

	if (s[first] == '\0')
		return first == 11 && s[0] == '1';
	if (s[first] != '-' || first < 1 || first > 5)
		return false;
	second = strspn(s + first + 1, DIGITS);
	return second >= 5 && second <= 15 && s[first + 1 + second] == '\0';
}

static bool
logon_id_good(const AlipayPayee *payee, ChannelError *err)
{
	if (strlen(payee->id) <= LOGON_MAX && (is_mail(payee->id) || is_phone(payee->id)))
		return true;
	return channel_error(err, "A number of mainland China has 11 digits and nothing else; another one is "
						 "prefix-number.",
						 "payee.logon_id must be the telephone number or the mail address that the "
						 "payee logs into Alipay with");
}

static bool
open_id_good(const AlipayPayee *payee, ChannelError *err)
{
	size_t		len = strlen(payee->id);

	if (len <= OPEN_ID_MAX && strspn(payee->id, DIGITS LETTERS "_-") == len)
		return true;
	return channel_error(err, "It is what Alipay's login gives this app.",
						 "payee.open_id must have 1 to %d letters, digits, _ and -", OPEN_ID_MAX);
}

/* ISO/IEC 7812-1, annex B: one digit mistaken, or two exchanged, show. */
static bool
passes_luhn(const char *digits)
{
	size_t		len = strlen(digits);
	size_t		i;
	int			sum = 0;

	for (i = 0; i < len; i++)
	{
		int			d = digits[len - 1 - i] - '0';

		if (i % 2 == 1)
			d = d * 2 > 9 ? d * 2 - 9 : d * 2;
		sum += d;
	}
	return sum % 10 == 0;
}

static bool
card_no_good(const AlipayPayee *payee, ChannelError *err)
{
	size_t		len = strlen(payee->id);
	bool		digits = strspn(payee->id, DIGITS) == len;

	if (payee->corporate)
	{
		if (digits && len >= ACCOUNT_MIN && len <= ACCOUNT_MAX)
			return true;
		return channel_error(err, "Write it without spaces and dashes.",
							 "payee.card_no of a company must be its account's number: %d to %d digits",
							 ACCOUNT_MIN, ACCOUNT_MAX);
	}
	if (!digits || len < CARD_MIN || len > CARD_MAX)
		return channel_error(err, "Write it without spaces and dashes. A company's account is account_type "
							 "\"corporate\".",
							 "payee.card_no must be a debit card's number: %d to %d digits",
							 CARD_MIN, CARD_MAX);
	if (!passes_luhn(payee->id))
		return channel_error(err, "A digit is wrong, or two have changed places. A company's account is "
							 "account_type \"corporate\".",
							 "payee.card_no is no card's number: its check digit does not fit");
	return true;
}

/* ---- the whole ---- */

static bool
read_kind(AlipayPayee *payee, ChannelError *err)
{
	size_t		i;
	int			count = 0;

	for (i = 0; i < lengthof_array(forms); i++)
	{
		const json_t *v = json_object_get(payee->root, forms[i].member);

		if (v == NULL)
			continue;
		count++;
		payee->kind = (AlipayPayeeKind) i;
		payee->id = json_string_value(v);
		if (payee->id == NULL || payee->id[0] == '\0')
			return channel_error(err, PAYEE_HINT, "payee.%s must be a text", forms[i].member);
	}
	if (count == 1)
		return true;
	return channel_error(err, PAYEE_HINT, "the payee has %s of user_id, logon_id, open_id and card_no",
						 count == 0 ? "none" : "more than one");
}

static bool
read_account_type(AlipayPayee *payee, ChannelError *err)
{
	const json_t *v = json_object_get(payee->root, "account_type");
	const char *text = json_string_value(v);

	if (v == NULL)
		return true;
	if (payee->kind != ALIPAY_PAYEE_CARD)
		return channel_error(err, PAYEE_HINT, "payee.account_type is for a card_no only");
	if (text == NULL || (strcmp(text, "personal") != 0 && strcmp(text, "corporate") != 0))
		return channel_error(err, "A person's card is personal, which is what is taken if it is left out.",
							 "payee.account_type must be \"personal\" or \"corporate\"");
	payee->corporate = strcmp(text, "corporate") == 0;
	return true;
}

/* All that is there, and that there is nothing else. */
static bool
read_texts(AlipayPayee *payee, ChannelError *err)
{
	const json_t *v = json_object_get(payee->root, "name");
	size_t		known = 1 + (v != NULL) + (json_object_get(payee->root, "account_type") != NULL);
	size_t		i;

	if (v != NULL && !alipay_text_good(v, NAME_MAX_BYTES))
		return channel_error(err, "A Chinese character counts as three bytes.",
							 "payee.name must be a text of 1 to %d bytes, without control characters "
							 "and characters of four bytes", NAME_MAX_BYTES);
	payee->name = json_string_value(v);
	for (i = 0; i < ALIPAY_BANK_TEXTS; i++)
	{
		v = json_object_get(payee->root, bank_texts[i].name);
		if (v == NULL)
			continue;
		known++;
		if (payee->kind != ALIPAY_PAYEE_CARD)
			return channel_error(err, PAYEE_HINT, "payee.%s is for a card_no only", bank_texts[i].name);
		if (!alipay_text_good(v, bank_texts[i].max) ||
			(i == ALIPAY_BANK_CODE &&
			 strspn(json_string_value(v), DIGITS) != json_string_length(v)))
			return channel_error(err, NULL, "payee.%s must be %s of 1 to %lu bytes", bank_texts[i].name,
								 i == ALIPAY_BANK_CODE ? "digits, a text" : "a text",
								 (unsigned long) bank_texts[i].max);
		payee->bank[i] = json_string_value(v);
	}
	if (json_object_size(payee->root) != known)
		return channel_error(err, PAYEE_HINT, "the payee has a member that Alipay does not take");
	return true;
}

/*
 * What is required beyond the account: a name for whom Alipay compares it
 * with; and for a company its bank, and "its province, city and branch, or the
 * branch's number" (bankcard_ext_info).
 */
static bool
whole(const AlipayPayee *payee, ChannelError *err)
{
	if (payee->name == NULL &&
		(payee->kind == ALIPAY_PAYEE_LOGON || payee->kind == ALIPAY_PAYEE_CARD))
		return channel_error(err, "Alipay compares it with the account's owner.",
							 "payee.name is required with a %s", forms[payee->kind].member);
	if (!payee->corporate)
		return true;
	if (payee->bank[ALIPAY_BANK_NAME] == NULL)
		return channel_error(err, "It is the bank's name.",
							 "payee.inst_name is required for a company's account");
	if (payee->bank[ALIPAY_BANK_CODE] == NULL &&
		(payee->bank[ALIPAY_BANK_PROVINCE] == NULL || payee->bank[ALIPAY_BANK_CITY] == NULL ||
		 payee->bank[ALIPAY_BANK_BRANCH] == NULL))
		return channel_error(err, "bank_code is the branch's number between banks.",
							 "a company's account needs payee.bank_code, or payee.inst_province, "
							 "payee.inst_city and payee.inst_branch_name");
	return true;
}

bool
alipay_payee_parse(const char *payee_json, AlipayPayee *payee, ChannelError *err)
{
	memset(payee, 0, sizeof(*payee));
	memset(err, 0, sizeof(*err));
	payee->root = payee_json ? json_hostile_object(payee_json, strlen(payee_json)) : NULL;
	if (payee->root == NULL)
		return channel_error(err, PAYEE_HINT, payee_json ?
							 "the payee is not a JSON object, or names a member twice" :
							 "there is no payee");
	if (read_kind(payee, err) && read_account_type(payee, err) &&
		forms[payee->kind].good(payee, err) && read_texts(payee, err) && whole(payee, err))
		return true;
	alipay_payee_free(payee);
	return false;
}

void
alipay_payee_free(AlipayPayee *payee)
{
	json_decref(payee->root);
	memset(payee, 0, sizeof(*payee));
}

const char *
alipay_payee_product(const AlipayPayee *payee)
{
	return payee->kind == ALIPAY_PAYEE_CARD ? ALIPAY_TO_CARD : ALIPAY_TO_ACCOUNT;
}

/* payee_info, the caller's; NULL if memory ran out. */
json_t *
alipay_payee_info(const AlipayPayee *payee)
{
	json_t	   *info = json_pack("{s:s,s:s}", "identity", payee->id,
								 "identity_type", forms[payee->kind].type);
	json_t	   *bank;
	bool		good = info != NULL;
	size_t		i;

	if (good && payee->name != NULL)
		good = json_object_set_new(info, "name", json_string(payee->name)) == 0;
	if (good && payee->kind == ALIPAY_PAYEE_CARD)
	{
		/* 1 is a company's account, 2 a person's */
		bank = json_pack("{s:s}", "account_type", payee->corporate ? "1" : "2");
		for (i = 0; good && i < ALIPAY_BANK_TEXTS; i++)
			if (payee->bank[i] != NULL)
				good = json_object_set_new(bank, bank_texts[i].name, json_string(payee->bank[i])) == 0;
		good = json_object_set_new(info, "bankcard_ext_info", bank) == 0 && good;
	}
	if (good)
		return info;
	json_decref(info);
	return NULL;
}

/* ---- what people may see ---- */

/* Never more than a quarter in front and a third behind: short ones hide well. */
static void
mask_ends(const char *s, size_t len, size_t head, size_t tail, Buf *out)
{
	if (head > len / 4)
		head = len / 4;
	if (tail > len / 3)
		tail = len / 3;
	buf_add(out, s, head);
	buf_adds(out, "****");
	buf_add(out, s + len - tail, tail);
}

static void
mask_account(const AlipayPayee *payee, Buf *out)
{
	const char *at = payee->kind == ALIPAY_PAYEE_LOGON ? strchr(payee->id, '@') : NULL;
	size_t		len = strlen(payee->id);

	if (at != NULL)
	{
		/* of a mail address, a little of either side of the '@' */
		mask_ends(payee->id, (size_t) (at - payee->id), SHOWN_HEAD - 1, 0, out);
		buf_addc(out, '@');
		mask_ends(at + 1, strlen(at + 1), 0, SHOWN_TAIL, out);
	}
	else if (payee->kind == ALIPAY_PAYEE_CARD)
		mask_ends(payee->id, len, 0, SHOWN_TAIL, out);
	else if (payee->kind == ALIPAY_PAYEE_LOGON && len == 11)
	{
		/* as everybody in China is used to see it */
		buf_addf(out, "%.3s****%s", payee->id, payee->id + 7);
	}
	else
		mask_ends(payee->id, len, SHOWN_HEAD, SHOWN_TAIL, out);
}

/* The first character, if it is not all of it. */
static void
mask_name(const char *name, Buf *out)
{
	size_t		len = strlen(name);
	size_t		first = 1;

	while (first < len && ((unsigned char) name[first] & 0xc0) == 0x80)
		first++;
	if (first < len)
		buf_add(out, name, first);
	buf_adds(out, "**");
}

/*
 * A mail address is the same in either case.  The name is no part of who it
 * is: Alipay refuses one that does not belong to the account.
 */
bool
alipay_payee(const char *payee_json, ChannelPayee *out, ChannelError *err)
{
	AlipayPayee payee;
	Buf			text = BUF_INIT;
	bool		good;
	char	   *p;

	memset(out, 0, sizeof(*out));
	if (!alipay_payee_parse(payee_json, &payee, err))
		return false;
	snprintf(out->identity, sizeof(out->identity), "alipay:%s:%s", forms[payee.kind].noun, payee.id);
	if (payee.kind == ALIPAY_PAYEE_LOGON)
		for (p = out->identity; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char) (*p - 'A' + 'a');
	buf_addf(&text, "%s ", forms[payee.kind].noun);
	mask_account(&payee, &text);
	if (payee.name != NULL)
	{
		buf_adds(&text, ", ");
		mask_name(payee.name, &text);
	}
	good = !text.failed && str_copy(out->masked, sizeof(out->masked), buf_str(&text));
	buf_free(&text);
	alipay_payee_free(&payee);
	return good || channel_error(err, NULL, "out of memory");
}
