package filessvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// accountPatience is how long the auth service may take until its answer begins, and until more of it comes.
const accountPatience = 10 * time.Second

// account asks the auth service what it holds about the caller of a request, under the caller's own token: it answers what that
// may see, and writes the audit trail.
func (a *authority) account(r *http.Request) (io.ReadCloser, error) {
	var errs []error
	for range a.at.Len() {
		at := a.at.Current()
		res, err := a.askAccount(r, at)
		if err == nil {
			return accountIn(res)
		}
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		a.at.Leave(at)
		errs = append(errs, err)
	}
	return nil, fault.Wrap(fault.Unavailable, "the account can't be read right now", errors.Join(errs...))
}

func (a *authority) askAccount(r *http.Request, at string) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/internal/v1/export", nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Authorization", r.Header.Get("Authorization"))
	web.PassOn(r.Context(), req.Header)
	if addr := web.ClientAddr(r.Context()); addr.IsValid() { // for the audit trail
		req.Header.Set("X-Forwarded-For", addr.String())
	}
	req.Header.Set("User-Agent", r.UserAgent())
	late := time.AfterFunc(accountPatience, cancel)
	res, err := a.client.Do(req)
	if late.Stop(); err != nil {
		cancel()
		return nil, err
	}
	res.Body = &cancelling{res.Body, cancel}
	return res, nil
}

// cancelling ends what its body's request has begun; by itself, when the body stands still.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *cancelling) Read(p []byte) (int, error) {
	late := time.AfterFunc(accountPatience, c.cancel) // whoever reads on slowly takes no time here
	defer late.Stop()
	return c.ReadCloser.Read(p)
}

func (c *cancelling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// accountIn is the account an answer holds, or why there is none.
func accountIn(res *http.Response) (io.ReadCloser, error) {
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	_ = res.Body.Close() // what else it says is for us
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return nil, fault.New(fault.InvalidToken, "the access token is not valid any more")
	case http.StatusForbidden:
		return nil, fault.New(fault.Forbidden, "an export needs the rights to read profile, sessions, API keys and files")
	default:
		return nil, fault.Wrap(fault.Unavailable, "the account can't be read right now", fmt.Errorf("auth service answers %d", res.StatusCode))
	}
}
