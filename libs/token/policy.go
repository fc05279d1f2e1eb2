package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloakroom.dev/libs/principal"
)

const maxLeeway = 30 * time.Second

// Policy says which tokens are accepted.
type Policy struct {
	Issuer     string        // iss, exact
	Audiences  []string      // a token names at least one audience, and none but these
	Algorithms []string      // of EdDSA, ES256, ES512, RS256, RS512; empty means EdDSA
	Leeway     time.Duration // for iat and nbf in the future, at most 30 s; exp has none
	CacheSize  int           // verified tokens remembered; 0 means 16384, negative none
	// MaxStaleness is how old the view may be for tokens of this policy; 0 means as the view itself has it.
	MaxStaleness time.Duration
	// Introspect, when given, is asked for each request while the view is not fresh (mode Introspect); without it such
	// requests are refused with fault.Unavailable (mode Deny). It is asked only for tokens that verify.
	Introspect func(ctx context.Context, raw string) (principal.Principal, error)
}

// Validate reports everything that is wrong with the policy.
func (p Policy) Validate() error {
	var errs []error
	if p.Issuer == "" {
		errs = append(errs, errors.New("no issuer"))
	}
	if len(p.Audiences) == 0 || slices.Contains(p.Audiences, "") {
		errs = append(errs, errors.New("no audience, or an empty one"))
	}
	for _, name := range p.Algorithms {
		if _, known := algorithms[name]; !known {
			errs = append(errs, fmt.Errorf("algorithm %q is not accepted", name))
		}
	}
	if p.Leeway < 0 || p.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("leeway %v is not within 0 and %v", p.Leeway, maxLeeway))
	}
	if p.MaxStaleness < 0 {
		errs = append(errs, fmt.Errorf("negative staleness %v", p.MaxStaleness))
	}
	return errors.Join(errs...)
}

// allows says whether the policy accepts an algorithm.
func (p Policy) allows(algorithm string) bool {
	if len(p.Algorithms) == 0 {
		return algorithm == "EdDSA"
	}
	return slices.Contains(p.Algorithms, algorithm)
}

// admits checks what a token says of its origin and destination.
func (p Policy) admits(c *claims) error {
	switch {
	case c.issuer != p.Issuer:
		return reason("wrong issuer")
	case len(c.audience) == 0:
		return reason("no audience")
	}
	for _, audience := range c.audience {
		if !slices.Contains(p.Audiences, audience) {
			return reason("wrong audience")
		}
	}
	return nil
}

// begun checks that a token's time has come. Clocks of two machines differ a little, hence the leeway.
func (p Policy) begun(c *claims, now time.Time) error {
	latest := now.Add(p.Leeway).Unix()
	switch {
	case c.issuedAt > latest:
		return reason("issued in the future")
	case c.notBefore > latest:
		return reason("not valid yet")
	case c.expires <= c.issuedAt:
		return reason("expires before it is issued")
	default:
		return nil
	}
}
