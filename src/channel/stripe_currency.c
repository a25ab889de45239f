/*-------------------------------------------------------------------------
 *
 * stripe_currency.c
 *	  The currencies that Stripe takes, and its units of them.
 *
 * refundx counts in ISO 4217 minor units.  So does Stripe, except where it
 * does not (currencies, "Minor units in API amounts" and "Special cases"):
 *
 * - ISK and UGX have no minor unit, but Stripe counts them in hundredths, as
 *	 it always did; the hundredths must be 00.
 * - MGA has hundredths in ISO 4217, but is a zero-decimal currency at Stripe.
 * - Of the three-decimal currencies the last digit must be 0.
 *
 * HUF and TWD are special in payouts only.  The zero-decimal currencies
 * (BIF CLP DJF GNF JPY KMF KRW PYG RWF VND VUV XAF XOF XPF) have no minor unit
 * on either side, so their amounts are the same.
 *
 * Amounts are converted at the edge, exactly or not at all, both ways.
 *
 * src/channel/stripe_currency.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/stripe.h"

/* currencies, "Supported presentment currencies", and the three-decimal ones */
const char *const stripe_currencies[] = {
	"AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN",
	"BAM", "BBD", "BDT", "BGN", "BHD", "BIF", "BMD", "BND", "BOB", "BRL",
	"BSD", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP",
	"CRC", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ETB", "EUR",
	"FJD", "FKP", "GBP", "GEL", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD",
	"HNL", "HTG", "HUF", "IDR", "ILS", "INR", "ISK", "JMD", "JOD", "JPY",
	"KES", "KGS", "KHR", "KMF", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP",
	"LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP",
	"MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK",
	"NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG",
	"QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SEK", "SGD",
	"SHP", "SLE", "SOS", "SRD", "SZL", "THB", "TJS", "TND", "TOP", "TRY",
	"TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VND", "VUV",
	"WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", NULL
};

/* Stripe's amount is ours times `times`, divided by `by`; ours is a multiple of `step`. */
typedef struct CurrencyRule
{
	char		code[4];
	int			times;
	int			by;
	int			step;
} CurrencyRule;

static const CurrencyRule rules[] = {
	{"ISK", 100, 1, 1},
	{"UGX", 100, 1, 1},
	{"MGA", 1, 100, 100},
	{"BHD", 1, 1, 10},
	{"JOD", 1, 1, 10},
	{"KWD", 1, 1, 10},
	{"OMR", 1, 1, 10},
	{"TND", 1, 1, 10},
};

static const CurrencyRule plain = {"", 1, 1, 1};

static const CurrencyRule *
rule_of(const char *currency)
{
	size_t		i;

	for (i = 0; i < lengthof_array(rules); i++)
		if (strcmp(rules[i].code, currency) == 0)
			return &rules[i];
	return &plain;
}

bool
stripe_currency_known(const char *currency)
{
	size_t		i;

	for (i = 0; currency != NULL && stripe_currencies[i] != NULL; i++)
		if (strcmp(stripe_currencies[i], currency) == 0)
			return true;
	return false;
}

int
stripe_amount_step(const char *currency)
{
	return rule_of(currency)->step;
}

bool
stripe_amount_to(const char *currency, int64_t iso, int64_t *stripe)
{
	const CurrencyRule *rule = rule_of(currency);

	*stripe = 0;
	if (!stripe_currency_known(currency) || iso < 0 || iso % rule->step != 0 ||
		iso > INT64_MAX / rule->times)
		return false;
	*stripe = iso * rule->times / rule->by;
	return true;
}

/*
 * The last digit of three-decimal amounts is not asked for here: what Stripe
 * says that it has refunded is what counts.
 */
bool
stripe_amount_from(const char *currency, int64_t stripe, int64_t *iso)
{
	const CurrencyRule *rule = rule_of(currency);

	*iso = 0;
	if (!stripe_currency_known(currency) || stripe < 0 || stripe % rule->times != 0 ||
		stripe > INT64_MAX / rule->by)
		return false;
	*iso = stripe * rule->by / rule->times;
	return true;
}
