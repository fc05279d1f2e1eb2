package letter

import "cloakroom.dev/auth-svc/internal/identity"

// words are what mails of one kind say. Text and HTML are made of the same paragraphs.
type words struct {
	subject string
	path    string // of the page that the link opens
	link    string // what the link is called
	said    []string
}

// theLink is a paragraph of its own. The others name facts in braces.
const theLink = "{link}"

// ifNotYou begins what whoever hears of something they have not done should do.
const ifNotYou = "If it was not you, "

var letters = map[identity.MailKind]words{
	identity.MailVerify: {
		subject: "Please confirm your address", path: "/auth/links/verify-email", link: "Confirm my address",
		said: []string{
			"Please confirm that this address is yours:", theLink,
			"The link works once, for {valid_for}. If you have no account at {site}, somebody has mistyped theirs: do nothing.",
		},
	},
	identity.MailReset: {
		subject: "Choose a new password", path: "/auth/links/reset-password", link: "Choose a new password",
		said: []string{
			"Somebody, hopefully you, has asked for a new password at {site}. To choose one:", theLink,
			"The link works once, for {valid_for}. If it was not you, do nothing: your password stays as it is.",
		},
	},
	identity.MailNewDevice: {subject: "A new device has signed in", said: []string{
		"Your account at {site} was signed in to from a device that is new to us: {device}.",
		ifNotYou + "change your password now: that ends every other session.",
	}},
	identity.MailTheft: {subject: "A session was ended for your safety", said: []string{
		"A spent key to one of your sessions at {site} was used a second time. Somebody may have a copy, so we have ended that session on every device.",
		"Please sign in again. If this happens repeatedly, change your password.",
	}},
	identity.MailPasswordChanged: {subject: "Your password was changed", said: []string{
		"The password of your account at {site} was changed, and other sessions were ended.",
		ifNotYou + "ask for a new password at once.",
	}},
	identity.MailEmailChanged: {subject: "Your address was changed", said: []string{
		"The mail address of your account at {site} was changed: from now on we write to another address.",
		ifNotYou + "write to whoever runs {site} at once.",
	}},
	identity.MailIdentityLinked: {subject: "A new way to sign in was added", said: []string{
		"A sign-in at another service was linked to your account at {site}, and opens it from now on.",
		ifNotYou + "change your password, end all sessions and remove the link.",
	}},
	identity.MailIdentityUnlinked: {subject: "A way to sign in was removed", said: []string{
		"A sign-in at another service no longer opens your account at {site}.",
		ifNotYou + "change your password and end all sessions.",
	}},
	identity.MailFactorAdded: {subject: "A second factor was added to your account", said: []string{
		"A second factor (an authenticator app or a passkey) was added to your account at {site}.",
		ifNotYou + "change your password at once, then remove what you do not know.",
	}},
	identity.MailFactorRemoved: {subject: "A second factor was removed from your account", said: []string{
		"A second factor was removed from your account at {site}.",
		ifNotYou + "change your password at once and write to whoever runs {site}.",
	}},
	identity.MailFactorsReset: {subject: "Your second factors were reset by an administrator", said: []string{
		"An administrator has removed second factors of your account at {site}, and has ended every session. Sign in again, then add what you use now.",
		"If you have not asked for it, write to whoever runs {site} at once.",
	}},
	identity.MailRecoveryCodes: {subject: "New recovery codes were made", said: []string{
		"New recovery codes were made for your account at {site}. Those of before are worth nothing now.",
		ifNotYou + "change your password at once and make new ones.",
	}},
	identity.MailRecoveryCodeSpent: {subject: "A recovery code was used", said: []string{
		"A recovery code was used to confirm a sign-in or a change at your account at {site}. Each works once.",
		ifNotYou + "change your password at once and make new codes.",
	}},
	identity.MailAddressChanged: {subject: "One of your sessions goes on from another network", said: []string{
		"One of your sessions at {site} goes on from another network address than before: {device}.",
		"If you have not moved to another network, end your sessions and sign in again.",
	}},
	identity.MailPasskeyCopied: {subject: "One of your passkeys may have been copied", said: []string{
		"A passkey of your account at {site} was refused, because its counter went back: there may be a copy of it.",
		"If this happens repeatedly, remove that passkey and add a new one.",
	}},
}
