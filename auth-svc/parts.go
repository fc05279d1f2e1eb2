package authsvc

import (
	"context"
	"fmt"

	"cloakroom.dev/auth-svc/internal/adapter/argon2"
	"cloakroom.dev/auth-svc/internal/adapter/breach"
	"cloakroom.dev/auth-svc/internal/adapter/jwt"
	"cloakroom.dev/auth-svc/internal/adapter/totp"
	"cloakroom.dev/auth-svc/internal/identity"
)

// parts are what the core is built from besides its store: the same for the service and for the command line, so that
// one refuses what the other refuses.
type parts struct {
	keys    derivedKeys
	policy  *livePolicy
	mailing mailing
	hasher  *argon2.Hasher
	signer  *jwt.Signer
	options identity.Options
}

// openParts reads secrets and policy and makes the adapters. Nothing is started, and nothing needs to be closed.
func openParts(ctx context.Context, cfg Config, deps Deps) (p parts, err error) {
	spec := cfg.Boot.Spec
	if p.keys, err = openKeys(cfg); err != nil {
		return p, err
	}
	if p.policy, err = loadPolicy(ctx, cfg.Boot, deps); err != nil {
		return p, err
	}
	breached, err := breach.Open()
	if err != nil {
		return p, err
	}
	if p.mailing, err = openMailing(cfg); err != nil {
		return p, err
	}
	passkeys, err := openPasskeys(ctx, cfg, deps)
	if err != nil {
		return p, err
	}
	if p.hasher, err = argon2.New(hashing(spec.Hashing), deps.Registerer); err != nil {
		return p, fmt.Errorf("password hashing: %w", err)
	}
	providers, err := openProviders(cfg, deps)
	if err != nil {
		return p, err
	}
	p.signer = jwt.NewSigner(p.keys.seal, string(spec.Issuer), audiences(spec))
	p.options = identity.Options{
		NewID: newID, Policy: p.policy.get, MAC: p.keys.mac, Notary: p.keys.notary,
		Policies: p.policy.named, Algorithms: p.policy.algorithms,
		Log: deps.Log, Observer: newObserver(deps.Registerer),
		Mailer: p.mailing.mailer, Letters: p.mailing.letters, Breached: breached, OwnNames: ownNames(cfg),
		OTP: totp.New(string(spec.Issuer)), Sealer: p.keys.factor, Providers: providers, WebAuthn: passkeys,
	}
	return p, nil
}
