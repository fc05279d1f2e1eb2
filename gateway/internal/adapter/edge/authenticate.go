package edge

import (
	"errors"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"
)

// authenticate finds out who is calling, or lets everybody pass where the rule says so in so many words.
func (x *exchange) authenticate() error {
	if x.r.Header[web.SessionModeHeader] != nil { // a login from another site would sign the person in as somebody else
		if err := x.sameOrigin(); err != nil {
			return err
		}
	}
	if x.rule.Auth.Anonymous() {
		return nil
	}
	if x.policy = x.policyInForce(); x.policy == nil {
		return fault.New(fault.Unavailable, "tokens can't be verified right now")
	}
	if showsToken(x.r.URL.RawQuery) {
		x.edge.metrics.refused("token_in_query")
		return x.malformed(tokenInQuery)
	}
	shown, err := x.policy.find(x.r)
	if err != nil {
		return err
	}
	if x.byCookie = shown.cookie; shown.cookie {
		if err := x.sameOrigin(); err != nil {
			return err
		}
	}
	if shown.apiKey {
		return x.exchangeKey(shown.value)
	}
	x.raw = shown.value
	x.caller, err = x.policy.verifier.Verify(x.r.Context(), x.raw)
	return err
}

// policyInForce returns the rule's policy, or nil when its tokens can't be verified.
func (x *exchange) policyInForce() *policy {
	if x.rule.Auth.Policy == nil {
		return nil
	}
	p := x.live.policies[x.rule.Auth.Policy.Digest]
	if p == nil || p.verifier == nil {
		return nil
	}
	return p
}

// exchangeKey turns an API key into its short token. A remembered token may be of before a change of rights, so one that
// is refused is fetched anew, once; a revoked key ends there.
func (x *exchange) exchangeKey(key string) error {
	var err error
	for range 2 {
		if x.raw, err = x.edge.keys.Exchange(x.r.Context(), key); err != nil {
			return err
		}
		x.caller, err = x.policy.verifier.Verify(x.r.Context(), x.raw)
		if err == nil && x.caller.APIKeyID == "" {
			return errors.New("the auth service gave a token without api_key_id for an API key")
		}
		if !refusedToken(err) {
			return err
		}
		x.edge.keys.Forget(key)
	}
	x.caller = principal.Principal{}
	return fault.New(fault.InvalidToken, "the access token is not valid")
}

func refusedToken(err error) bool {
	switch fault.KindOf(err) {
	case fault.InvalidToken, fault.TokenExpired, fault.TokenStale:
		return err != nil
	}
	return false
}

// sameOrigin holds requests whose credential a browser added by itself to the cross-origin check, if they change
// something or open a WebSocket. A page that the rule's CORS trusts with credentials may call.
func (x *exchange) sameOrigin() error {
	if web.ChangesNothing(x.r) {
		return nil
	}
	c := x.rule.CORS
	err := web.CheckOrigin(x.r.Header, x.r.Host, func(origin string) bool { return c != nil && c.Credentials && c.Admits(origin) })
	if err != nil {
		x.edge.metrics.refused("cross_origin")
	}
	return err
}
