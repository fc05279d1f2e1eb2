package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// Signing in elsewhere goes in three steps, and no token of ours is ever in a URL:
//
//	StartSignIn    the browser leaves for the provider, with a state that only this browser can bring back
//	FinishSignIn   it comes back; the provider's word is verified and kept, and the client gets a one-time code for it
//	ExchangeSignIn the client shows the code, and that it was the one who began: now somebody comes in (exchange.go)
//
// Until the last step nothing has happened to anybody: who is meant, and whether they may, is decided there.

// startsPerAddress is how many sign-ins one address may begin within an hour.
const startsPerAddress = 600

var (
	errNoProvider  = fault.New(fault.NotFound, "no such identity provider")
	errReturnURL   = fault.Validation(fault.Field{Field: "return_url", Code: "INVALID", Detail: "is not on the provider's list of return URLs"})
	errChallengeID = fault.Validation(fault.Field{
		Field: "code_challenge", Code: "INVALID", Detail: "must be the SHA-256 of a code_verifier, in base64url without padding",
	})
	errOtherBrowser = fault.New(fault.InvalidCredentials, "this sign-in was begun in another browser, or cookies are off; start again")
)

// Providers lists where people can sign in, as configured.
func (s *Service) Providers() []Provider {
	if s.opts.Providers == nil {
		return nil
	}
	return s.opts.Providers.List()
}

func (s *Service) provider(name string) (Provider, error) {
	for _, p := range s.Providers() {
		if p.Name == name {
			return p, nil
		}
	}
	return Provider{}, errNoProvider
}

// SignInStart is what a client begins with.
type SignInStart struct {
	Provider  string
	ReturnURL string        // empty for the first of the provider's list
	Challenge string        // S256 of a verifier that the client keeps: only who has it can use the code
	Browser   secret.String // what FinishSignIn must be given again by the same browser
	Client    Client
}

// attempt is a sign-in on its way to a provider and back.
type attempt struct {
	Provider  string
	ReturnURL string
	Challenge string
	Browser   [32]byte
	Nonce     string
	Verifier  string
}

func (a attempt) question(state secret.String) Question {
	return Question{State: state.Reveal(), Nonce: a.Nonce, Verifier: a.Verifier}
}

// StartSignIn returns where to send the browser. Faults: NotFound, Invalid, RateLimited, Overloaded when too many sign-ins are
// under way, Unavailable when the provider can't be reached.
func (s *Service) StartSignIn(ctx context.Context, in SignInStart) (to string, err error) {
	defer func() { s.observeSignIn(in.Provider, "started", err) }()
	p, err := s.provider(in.Provider)
	if err != nil {
		return "", err
	}
	a := attempt{
		Provider: p.Name, ReturnURL: in.ReturnURL, Challenge: in.Challenge,
		Browser: sha256.Sum256([]byte(in.Browser.Reveal())), Nonce: secretText(), Verifier: secretText(),
	}
	if a.ReturnURL == "" && len(p.ReturnURLs) > 0 {
		a.ReturnURL = p.ReturnURLs[0]
	}
	if !slices.Contains(p.ReturnURLs, a.ReturnURL) {
		return "", errReturnURL
	}
	if raw, err := credentialText.DecodeString(a.Challenge); err != nil || len(raw) != sha256.Size {
		return "", errChallengeID
	}
	// The provider is asked before a row is written: while it is down there is nothing to keep.
	if _, err := s.opts.Providers.AuthorizationURL(ctx, p.Name, Question{}); err != nil {
		return "", err
	}
	var state secret.String
	var refusal error // committed: the start counts
	err = s.store.InTx(ctx, func(tx Tx) (err error) {
		ok, err := budget(ctx, tx, s.addressKey("sign-ins from", in.Client), startsPerAddress)
		if err != nil || !ok {
			refusal = fault.Retry(fault.RateLimited, "too many sign-ins were begun from this address", mailWindow)
			return err
		}
		refusal = nil
		state, err = s.handOff(ctx, tx, HandoffState, a)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return "", err
	}
	return s.opts.Providers.AuthorizationURL(ctx, p.Name, a.question(state))
}

// SignInReturn is what a browser brings back from a provider.
type SignInReturn struct {
	Provider string
	State    secret.String
	Browser  secret.String
	Answer   Answer
	Refused  bool // the provider says that there was no sign-in
}

// assertion is what a provider has said, on its way to the client's own call.
type assertion struct {
	Provider  string
	Challenge string
	Claims    ProviderClaims
}

// FinishSignIn takes a provider's word and returns where to send the browser: the client's return URL with a one-time code,
// or with error=access_denied when the provider did not let the person in. Faults: InvalidCredentials for whatever is not the
// answer to a question that this browser has asked, Unavailable.
func (s *Service) FinishSignIn(ctx context.Context, in SignInReturn) (to string, err error) {
	defer func() { s.observeSignIn(in.Provider, "returned", err) }()
	if _, err := s.provider(in.Provider); err != nil {
		return "", err
	}
	key, err := s.openHandoff(HandoffState, in.State)
	if err != nil {
		return "", err
	}
	if err := s.opts.Providers.CheckIssuer(ctx, in.Provider, in.Answer); err != nil {
		return "", err
	}
	var a attempt
	err = s.store.InTx(ctx, func(tx Tx) error {
		a = attempt{}
		if err := s.takeHandoff(ctx, tx, HandoffState, key, &a); err != nil {
			return err
		}
		browser := sha256.Sum256([]byte(in.Browser.Reveal()))
		if a.Provider != in.Provider || in.Browser.IsZero() || !sameHash(a.Browser, browser) {
			return errOtherBrowser
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if in.Refused {
		return withQuery(a.ReturnURL, "error", "access_denied")
	}
	claims, err := s.opts.Providers.Redeem(ctx, a.Provider, in.Answer, a.question(in.State))
	if err != nil {
		return "", err
	}
	var code secret.String
	err = s.store.InTx(ctx, func(tx Tx) (err error) {
		code, err = s.handOff(ctx, tx, HandoffCode, assertion{Provider: a.Provider, Challenge: a.Challenge, Claims: claims})
		return err
	})
	if err != nil {
		return "", err
	}
	return withQuery(a.ReturnURL, "code", code.Reveal())
}

// takeAssertion spends a one-time code for whoever began the sign-in.
func (s *Service) takeAssertion(ctx context.Context, tx Tx, key handoffKey, verifier secret.String) (a assertion, p Provider, err error) {
	if err := s.takeHandoff(ctx, tx, HandoffCode, key, &a); err != nil {
		return a, p, err
	}
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	if subtle.ConstantTimeCompare([]byte(credentialText.EncodeToString(sum[:])), []byte(a.Challenge)) != 1 {
		return a, p, errHandoff
	}
	if p, err = s.provider(a.Provider); err != nil {
		return a, p, errHandoff // it was configured a moment ago
	}
	return a, p, nil
}

// withQuery adds one parameter to a URL of the configuration.
func withQuery(to, name, value string) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", fmt.Errorf("a return URL can't be read: %w", err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func secretText() string {
	b := newSecret()
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// observeSignIn counts one step. Names that are not configured are counted together: anybody can make them up.
func (s *Service) observeSignIn(provider, step string, err error) {
	if _, unknown := s.provider(provider); unknown != nil {
		provider = "unknown"
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable, fault.StorageFull:
		if err != nil {
			step = "failed"
		}
	case fault.Overloaded, fault.RateLimited:
		step = "over_bound"
	default:
		step = "denied"
	}
	s.opts.Observer.SignIn(provider, step)
}
