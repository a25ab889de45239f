/*-------------------------------------------------------------------------
 *
 * failure_words.c
 *	  Why a channel has ended something, in words for whom it pays.
 *
 * Codes are for those who run the system; a text message to a payer must not be
 * one.  What is not listed here, or is the merchant's own affair, is said in
 * general words: nothing is guessed.
 *
 * src/channel/failure_words.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/channel.h"

static const struct
{
	const char *code;
	const char *zh;
	const char *en;
}			words[] = {
	/* WeChat Pay, refunds */
	{"CLOSED", "退款已被关闭，未能到账", "it was closed before it arrived"},
	{"USER_ACCOUNT_ABNORMAL", "您的收款账户状态异常", "your account cannot receive it"},
	/* WeChat Pay, transfers (4013774966) */
	{"ACCOUNT_FROZEN", "您的收款账户已被冻结", "your account is frozen"},
	{"ACCOUNT_NOT_EXIST", "收款账户不存在", "the account does not exist"},
	{"NAME_NOT_CORRECT", "收款人姓名不一致", "the name is not that of the account"},
	{"REAL_NAME_CHECK_FAIL", "收款账户未完成实名认证", "the account's owner is not verified"},
	{"PAYEE_ACCOUNT_ABNORMAL", "您的收款账户状态异常", "your account cannot receive it"},
	{"OVERDUE_CLOSE", "超过时限未确认收款", "it was not confirmed in time"},
	{"MERCHANT_NOT_CONFIRM", "超过时限未确认", "it was not confirmed in time"},
	{"DAY_RECEIVED_COUNT_EXCEED", "您今日收款次数已达上限", "you have received as often as is possible in a day"},
	{"DAY_RECEIVED_QUOTA_EXCEED", "您今日收款金额已达上限", "you have received as much as is possible in a day"},
	/* Alipay, transfers */
	{"PAYEE_NOT_EXIST", "收款账户不存在", "the account does not exist"},
	{"PAYEE_USERINFO_ERROR", "收款人信息不一致", "the name is not that of the account"},
	{"PAYEE_USER_INFO_ERROR", "收款人信息不一致", "the name is not that of the account"},
	{"PAYEE_ACC_OCUPIED", "收款账户有多个，无法确定", "more than one account fits"},
	{"CARD_BIN_ERROR", "收款银行卡信息有误", "the card's number is wrong"},
	{"PAYEE_CARD_INFO_ERROR", "收款银行卡信息有误", "the card's number or owner is wrong"},
	/* Stripe, refunds (failure_reason) */
	{"lost_or_stolen_card", "收款银行卡已挂失", "the card was reported lost or stolen"},
	{"expired_or_canceled_card", "收款银行卡已过期或注销", "the card has expired or was canceled"},
	{"charge_for_pending_refund_disputed", "该笔付款存在争议", "the payment is disputed"},
};

const char *
channel_failure_words(const char *code, const char *language)
{
	bool		chinese = language == NULL || strncmp(language, "zh", 2) == 0;
	size_t		i;

	for (i = 0; code != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].code, code) == 0)
			return chinese ? words[i].zh : words[i].en;
	return chinese ? "支付渠道未能完成" : "the payment channel could not complete it";
}
