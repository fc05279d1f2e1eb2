// Package authapi asks the auth service's internal listener the two questions a gateway can't answer from what it holds:
// what short token an API key stands for, and, while the revocation log can't be followed, whether a token still lives.
//
// Every call has a deadline of its own, an answer a size limit. A replica that can't say is left, and the next one is
// asked within the same deadline: both questions may be asked twice. An answer that is neither yes nor no is
// fault.Unavailable: not knowing never counts as a refusal, and never as a pass.
package authapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/replica"
	"cloakroom.dev/libs/web"
)

const (
	timeout        = 3 * time.Second
	maxAnswerBytes = 64 << 10
)

// Client calls one auth service. It is safe for use by many goroutines.
type Client struct {
	at     *replica.Set
	client *http.Client
}

// New makes a client of the internal listeners at baseURLs, one a replica of the service.
func New(baseURLs []string, client *http.Client) *Client {
	bases := make([]string, len(baseURLs))
	for i, base := range baseURLs {
		bases[i] = strings.TrimSuffix(base, "/") + "/internal/v1/"
	}
	return &Client{at: replica.New(bases...), client: client}
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

// call asks one replica after the other until one knows. Each has its share of the time.
func (c *Client) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode a question for the auth service: %w", err)
	}
	share := timeout / time.Duration(c.at.Len())
	for range c.at.Len() {
		base := c.at.Current()
		err = c.ask(ctx, base, path, share, body, out)
		if !errors.Is(err, fault.Of(fault.Unavailable)) || ctx.Err() != nil {
			return err
		}
		c.at.Leave(base)
	}
	return err
}

func (c *Client) ask(ctx context.Context, base, path string, timeout time.Duration, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
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
