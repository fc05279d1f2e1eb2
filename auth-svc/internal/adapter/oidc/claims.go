package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"cloakroom.dev/libs/outbound"

	"cloakroom.dev/auth-svc/internal/identity"
)

const (
	maxSubjectBytes = 255 // as the standard says
	maxIDTokenBytes = 32 << 10
	maxTextBytes    = 512 // of an address or a name
)

// said is a set of claims. Names are exact, as the standard has them.
type said map[string]json.RawMessage

// text is a claim that is a string, empty when it is not.
func (s said) text(name string) string {
	var v string
	if json.Unmarshal(s[name], &v) != nil || len(v) > maxTextBytes {
		return ""
	}
	return v
}

// truth is a claim that is true itself, and no word for it: some providers write "true" of what they have not checked.
func (s said) truth(name string) bool { return string(s[name]) == "true" }

// claims verifies the ID token and reads what it says. An address it does not have is asked for.
func (p *provider) claims(ctx context.Context, found *discovered, tokens *oauth2.Token, nonce string) (c identity.ProviderClaims, err error) {
	raw, _ := tokens.Extra("id_token").(string)
	if strings.Count(raw, ".") != 2 || len(raw) > maxIDTokenBytes {
		return c, p.refuse(ctx, "no ID token", nil)
	}
	token, err := found.verifier.Verify(ctx, raw)
	if err != nil {
		if unreachable(err) {
			return c, p.down(ctx, "fetch keys", err)
		}
		return c, p.refuse(ctx, "ID token", err)
	}
	var all said
	if err := token.Claims(&all); err != nil {
		return c, p.refuse(ctx, "ID token can't be read", err)
	}
	if why := p.wrong(token, all, nonce); why != "" {
		return c, p.refuse(ctx, why, nil)
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(tokens.AccessToken); err != nil {
			return c, p.refuse(ctx, "access token is not the ID token's", err)
		}
	}
	if all.text("email") == "" && found.provider.UserInfoEndpoint() != "" {
		if all, err = p.userInfo(ctx, found, tokens, token.Subject); err != nil {
			return c, err
		}
	}
	return identity.ProviderClaims{
		Subject: token.Subject, Email: all.text("email"), EmailVerified: all.truth("email_verified"), Name: all.text("name"),
	}, nil
}

// wrong is what the library leaves to its caller; empty when nothing is.
func (p *provider) wrong(token *oidc.IDToken, all said, nonce string) string {
	_, hasParty := all["azp"]
	switch {
	case nonce == "" || subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return "nonce is not the question's"
	case token.Issuer != p.Issuer:
		return "issuer" // the library has an exception
	case hasParty && all.text("azp") != p.ClientID:
		return "authorized party is somebody else"
	case len(token.Audience) != 1 && !hasParty:
		return "several audiences and no authorized party"
	case !isSubject(token.Subject) || all.text("sub") != token.Subject:
		return "subject"
	}
	return ""
}

func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubjectBytes && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// userInfo asks for the claims of the access token's owner. They count only when they are of the same subject.
func (p *provider) userInfo(ctx context.Context, found *discovered, tokens *oauth2.Token, subject string) (said, error) {
	info, err := found.provider.UserInfo(oidc.ClientContext(ctx, p.client), oauth2.StaticTokenSource(tokens))
	if err != nil {
		return nil, p.down(ctx, "ask for user info", err)
	}
	var all said
	if err := info.Claims(&all); err != nil {
		return nil, p.down(ctx, "read user info", err)
	}
	if all.text("sub") != subject {
		return nil, p.refuse(ctx, "user info of another subject", nil)
	}
	return all, nil
}

// unreachable tells the failure to get keys from a token that is not good. The library says so in words alone.
func unreachable(err error) bool {
	return errors.Is(err, outbound.ErrForbidden) || errors.Is(err, outbound.ErrTooLarge) || errors.Is(err, context.DeadlineExceeded) ||
		strings.Contains(fmt.Sprint(err), "fetching keys")
}
