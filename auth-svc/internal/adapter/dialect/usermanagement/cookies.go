package usermanagement

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

const (
	accessCookie  = "access_token"
	refreshCookie = "refresh_token"
)

// maxCookieBytes is what browsers keep of one cookie, name and value: of a larger one they keep nothing, and say nothing.
const maxCookieBytes = 4096

var (
	errCookieSize = fault.New(fault.Conflict, "This user's permissions make a token that no cookie can hold.")
	errNoRefresh  = fault.New(fault.InvalidRefreshToken, "Invalid request.")
)

// giveCookies hands the session to the browser. No script can read them, and a page of another site can't have them sent along
// with anything but a link that a person follows.
func (a api) giveCookies(w http.ResponseWriter, r *http.Request, owner string, t identity.Tokens) error {
	access, refresh := t.AccessToken.Reveal(), a.ownedRefresh(t.RefreshToken, owner)
	if len(accessCookie)+len(access) > maxCookieBytes {
		return errCookieSize
	}
	a.give(w, r, accessCookie, access, t.ExpiresIn)
	a.give(w, r, refreshCookie, refresh, time.Until(t.RefreshExpiresAt))
	return nil
}

func (a api) give(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: a.OutsidePrefix(r) + "/", MaxAge: int(max(1, life.Round(time.Second)/time.Second)),
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

// The cookie of a refresh token also says whose it is, so that somebody who was blocked can be told: by then nothing else knows.
// It is the core's token, the owner's id, and a MAC over both, with a dot between.

func (a api) ownedRefresh(token secret.String, owner string) string {
	text := token.Reveal() + "." + owner
	sum, _ := a.ownerMAC(a.MAC.Current(), text)
	return text + "." + base64.RawURLEncoding.EncodeToString(append([]byte{a.MAC.Current()}, sum...))
}

const ownerMACBytes = 16

func (a api) ownerMAC(key byte, text string) ([]byte, bool) {
	sum, ok := a.MAC.Sum(key, []byte("user-management refresh cookie\x00"+text))
	if !ok {
		return nil, false
	}
	return sum[:ownerMACBytes], true
}

// presentedRefresh returns the core's token out of the cookie, and whose it is.
func (a api) presentedRefresh(r *http.Request) (token secret.String, owner string, err error) {
	cookies := r.CookiesNamed(refreshCookie)
	if len(cookies) != 1 { // of two, one was planted
		return token, "", errNoRefresh
	}
	at := strings.LastIndexByte(cookies[0].Value, '.')
	if at < 0 {
		return token, "", errNoRefresh
	}
	text := cookies[0].Value[:at]
	mac, err := base64.RawURLEncoding.Strict().DecodeString(cookies[0].Value[at+1:])
	if err != nil || len(mac) != 1+ownerMACBytes {
		return token, "", errNoRefresh
	}
	want, ok := a.ownerMAC(mac[0], text)
	if !ok || subtle.ConstantTimeCompare(want, mac[1:]) != 1 {
		return token, "", errNoRefresh
	}
	raw, owner, _ := strings.Cut(text, ".")
	return secret.NewString(raw), owner, nil
}
