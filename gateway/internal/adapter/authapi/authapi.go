// Package authapi asks the auth service's internal listener the two questions a gateway can't answer from what it holds:
// what short token an API key stands for, and, while the revocation log can't be followed, whether a token still lives.
//
// Every call has a deadline of its own, an answer a size limit. An answer that is neither yes nor no is
// fault.Unavailable: not knowing never counts as a refusal, and never as a pass.
package authapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"
)

const (
	timeout        = 3 * time.Second
	maxAnswerBytes = 64 << 10
)

// Client calls one auth service. It is safe for use by many goroutines.
type Client struct {
	base   string
	client *http.Client
}

// New makes a client of the internal listener at baseURL.
func New(baseURL string, client *http.Client) *Client {
	return &Client{base: strings.TrimSuffix(baseURL, "/") + "/internal/v1/", client: client}
}

// Grant is a short access token for an API key.
type Grant struct {
	AccessToken string
	ExpiresIn   time.Duration
}

// Exchange trades an API key for a short access token. It returns fault.InvalidToken when the key is not ours, expired
// or revoked, and fault.Unavailable when that can't be known now.
func (c *Client) Exchange(ctx context.Context, key string) (Grant, error) {
	var out struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := c.call(ctx, "api-keys/exchange", map[string]string{"api_key": key}, &out); err != nil {
		return Grant{}, err
	}
	if out.AccessToken == "" || out.ExpiresIn <= 0 {
		return Grant{}, unavailable(fmt.Errorf("an exchange without a token, or one that lives %d s", out.ExpiresIn))
	}
	return Grant{AccessToken: out.AccessToken, ExpiresIn: time.Duration(out.ExpiresIn) * time.Second}, nil
}

// Introspect asks whom a token speaks for, as the store has it now. It returns fault.InvalidToken, fault.TokenExpired or
// fault.TokenStale for one that no longer counts, and fault.Unavailable when that can't be known now.
func (c *Client) Introspect(ctx context.Context, raw string) (principal.Principal, error) {
	var out struct {
		UserID      string    `json:"user_id"`
		SessionID   string    `json:"session_id"`
		APIKeyID    string    `json:"api_key_id"`
		TokenID     string    `json:"token_id"`
		KeyID       string    `json:"key_id"`
		Roles       []string  `json:"roles"`
		Permissions []string  `json:"permissions"`
		Epoch       int64     `json:"epoch"`
		EpochRoles  []string  `json:"epoch_roles"`
		IssuedAt    time.Time `json:"issued_at"`
		ExpiresAt   time.Time `json:"expires_at"`
	}
	if err := c.call(ctx, "introspect", map[string]string{"access_token": raw}, &out); err != nil {
		return principal.Principal{}, err
	}
	if out.UserID == "" || (out.SessionID == "") == (out.APIKeyID == "") {
		return principal.Principal{}, unavailable(fmt.Errorf("an introspection that names nobody"))
	}
	p := principal.Principal{
		UserID: out.UserID, SessionID: out.SessionID, APIKeyID: out.APIKeyID, TokenID: out.TokenID, KeyID: out.KeyID,
		Roles: out.Roles, Epoch: out.Epoch, EpochRoles: out.EpochRoles, IssuedAt: out.IssuedAt, ExpiresAt: out.ExpiresAt,
	}
	for _, name := range out.Permissions {
		permission, ok := principal.ParsePermission(name)
		if !ok {
			return principal.Principal{}, unavailable(fmt.Errorf("an introspection with the permission %q", name))
		}
		p.Permissions = append(p.Permissions, permission)
	}
	return p, nil
}

func (c *Client) call(ctx context.Context, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode a question for the auth service: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the auth service: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if id := web.RequestID(ctx); id != "" {
		req.Header.Set(web.RequestIDHeader, id)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return unavailable(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return unavailable(err)
	case len(answer) > maxAnswerBytes:
		return unavailable(fmt.Errorf("%s answered more than %d bytes", path, maxAnswerBytes))
	case res.StatusCode == http.StatusUnauthorized:
		return refusal(answer)
	case res.StatusCode != http.StatusOK:
		return unavailable(fmt.Errorf("%s answered %d", path, res.StatusCode))
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return unavailable(fmt.Errorf("%s answered no JSON: %w", path, err))
	}
	return nil
}

// refusal keeps what a client can act upon; everything else is one and the same.
func refusal(answer []byte) error {
	var doc struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(answer, &doc) // a refusal that can't be read is still a refusal
	switch doc.Code {
	case "TOKEN_EXPIRED":
		return fault.New(fault.TokenExpired, doc.Detail)
	case "TOKEN_STALE":
		return fault.New(fault.TokenStale, doc.Detail)
	default:
		return fault.New(fault.InvalidToken, "the access token is not valid")
	}
}

func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, "credentials can't be checked right now", err)
}
