package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// BootstrapInput names the first administrator.
type BootstrapInput struct {
	Username string        // default "admin"
	Password secret.String // default: made
}

// BootstrapSecrets is told once.
type BootstrapSecrets struct {
	Username string
	Password secret.String
	APIKey   secret.String
	Token    secret.String // 50 characters; signs up one administrator
}

// The lengths of what is made: 50 characters are asked for, and no person remembers 24.
const (
	bootstrapTokenChars    = 50
	bootstrapPasswordChars = 24
)

// Bootstrap makes the first administrator, an API key and a one-time token, at the very first start only; made says
// whether this was it. publish gets the secrets just before the commit and must keep them durably: when it fails
// nothing has happened, and when the commit is lost the next start makes new ones and calls it again.
func (s *Service) Bootstrap(ctx context.Context, in BootstrapInput, publish func(BootstrapSecrets) error) (made bool, err error) {
	done, err := s.bootstrapped(ctx)
	if err != nil || done {
		return false, err
	}
	first, err := s.firstAdmin(ctx, in)
	if err != nil {
		return false, err
	}
	err = s.store.InTx(ctx, func(tx Tx) error {
		if done, err = tx.Bootstrapped(ctx); err != nil || done {
			return err // another replica was first
		}
		if err := first.write(ctx, tx); err != nil {
			return err
		}
		return publish(first.secrets)
	})
	if err == nil {
		return !done, nil
	}
	// Two replicas may both have found nobody. The second waits at the name until the first has committed, and is then refused it.
	if was, again := s.bootstrapped(ctx); again == nil && was {
		return false, nil
	}
	return false, fmt.Errorf("bootstrap: %w", err)
}

func (s *Service) bootstrapped(ctx context.Context) (was bool, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		was, err = tx.Bootstrapped(ctx)
		return err
	})
	return was, err
}

// firstAdmin is everything the first start makes.
type firstAdmin struct {
	user    User
	key     APIKey
	secrets BootstrapSecrets
}

func (s *Service) firstAdmin(ctx context.Context, in BootstrapInput) (firstAdmin, error) {
	f := firstAdmin{user: User{ID: s.opts.NewID(), Status: Active, Roles: []string{RoleAdmin}}}
	if in.Username == "" {
		in.Username = "admin"
	}
	if in.Password.IsZero() {
		in.Password = s.NewPassword()
	}
	bad := f.user.fill(SignupInput{Username: in.Username})
	if bad = append(bad, s.checkPassword(s.policy(), "password", in.Password, f.user)...); len(bad) > 0 {
		return f, fault.Validation(bad...)
	}
	var err error
	if f.user.PasswordHash, err = s.hash(ctx, in.Password); err != nil {
		return f, fmt.Errorf("hash the administrator's password: %w", err)
	}
	made, err := makeAPIKey(s.opts.MAC, APIKey{ID: s.opts.NewID(), UserID: f.user.ID, Name: "bootstrap"})
	f.key = made.APIKey
	f.secrets = BootstrapSecrets{
		Username: f.user.Username, Password: in.Password, APIKey: made.Secret,
		Token: secret.NewString(randomText(bootstrapTokenChars)),
	}
	return f, err
}

func (f firstAdmin) write(ctx context.Context, tx Tx) error {
	admin, err := tx.Role(ctx, RoleAdmin)
	if err != nil {
		return fmt.Errorf("read the administrator's role: %w", err)
	}
	if err := tx.InsertUser(ctx, f.user.born(tx.Now())); err != nil {
		return err
	}
	f.key.CreatedAt, f.key.Permissions = tx.Now(), admin.Permissions
	if err := tx.InsertAPIKey(ctx, f.key); err != nil {
		return err
	}
	if err := tx.InsertBootstrap(ctx, sha256.Sum256([]byte(f.secrets.Token.Reveal()))); err != nil {
		return err
	}
	return logAct(ctx, tx, actorSystem, act{
		name: "bootstrap", target: userTarget(f.user.ID), detail: map[string]any{"api_key_id": f.key.ID},
	})
}

// NewPassword draws a password for somebody who will change it. It keeps the policy's rules, whatever they are.
func (s *Service) NewPassword() secret.String {
	n := max(bootstrapPasswordChars, s.policy().MinPassword)
	for {
		// A dash in the middle is the special character that some rules want.
		text := randomText(n)
		text = text[:n/2] + "-" + text[n/2+1:]
		if len(missingClasses(text, AllClasses)) == 0 {
			return secret.NewString(text)
		}
	}
}

// randomText draws n characters that survive being copied by hand: no 0 or O, no 1, l or I.
func randomText(n int) string {
	const alphabet = "23456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
	const fair = 256 - 256%len(alphabet) // bytes past this would favour the first letters
	out := make([]byte, 0, n)
	for buf := make([]byte, 2*n); len(out) < n; {
		_, _ = rand.Read(buf) // never fails
		for _, b := range buf {
			if int(b) < fair && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}
