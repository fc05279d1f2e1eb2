package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// asked is one address of a probe, asked without any credential.
type asked struct {
	client    *http.Client
	url, host string
}

func (a asked) get(ctx context.Context, wanted int) (http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Host = a.host // empty: that of the URL
	answer, err := a.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }() // what matters has been read
	body, err := io.ReadAll(io.LimitReader(answer.Body, probeBodyBytes))
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode != wanted {
		return nil, nil, fmt.Errorf("%s answers %d, not %d: %.200q", a.url, answer.StatusCode, wanted, body)
	}
	return answer.Header, body, nil
}

func (a asked) ready(ctx context.Context) error {
	_, _, err := a.get(ctx, http.StatusOK)
	return err
}

// servesKeys wants at least one key that a verifier can choose by its id and use.
func (a asked) servesKeys(ctx context.Context) error {
	_, body, err := a.get(ctx, http.StatusOK)
	if err != nil {
		return err
	}
	var set struct {
		Keys []struct{ Kty, Kid, Alg, Use string }
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return fmt.Errorf("%s answers no key set: %w", a.url, err)
	}
	if len(set.Keys) == 0 {
		return errors.New("the key set is empty: no token could be verified")
	}
	for _, k := range set.Keys {
		if k.Kty == "" || k.Kid == "" || k.Alg == "" || k.Use != "sig" {
			return fmt.Errorf("a key is %+v: it wants a type, an id, an algorithm and the use sig", k)
		}
	}
	return nil
}

// refuses wants a refusal of ours: what stands in front may answer 401 too, and would do so with nothing behind it.
func (a asked) refuses(ctx context.Context) error {
	header, body, err := a.get(ctx, http.StatusUnauthorized)
	if err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || kind != "application/problem+json" {
		return fmt.Errorf("%s refuses as %q, and not as a problem document", a.url, header.Get("Content-Type"))
	}
	if !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer") {
		return fmt.Errorf("%s refuses with WWW-Authenticate %q, and not Bearer", a.url, header.Get("WWW-Authenticate"))
	}
	var document struct {
		Status int
		Code   string
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return fmt.Errorf("%s: the problem document: %w", a.url, err)
	}
	if document.Status != http.StatusUnauthorized || document.Code != "AUTH_ERROR" {
		return fmt.Errorf("%s refuses with %d %s, and not 401 AUTH_ERROR", a.url, document.Status, document.Code)
	}
	return nil
}
