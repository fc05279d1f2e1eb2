package authsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Bootstrap is what the first start makes, told once: the first administrator, a key of theirs, and a token with
// which one more administrator may sign up.
type Bootstrap struct {
	Username string
	Password secret.String
	APIKey   secret.String
	Token    secret.String
}

// bootstrap makes the first administrator when this is the first start and somebody is there to be told.
func bootstrap(ctx context.Context, core *identity.Service, cfg Config, log *slog.Logger) error {
	tell, path := cfg.OnBootstrap, ""
	if tell == nil && cfg.Boot.Spec.Bootstrap != nil {
		path = cfg.path(string(cfg.Boot.Spec.Bootstrap.File))
		tell = func(b Bootstrap) error { return WriteBootstrap(path, b) }
	}
	if tell == nil {
		return nil
	}
	// The secrets are kept before they are committed. Killed in between, the next start finds no administrator, makes
	// another and tells anew: what is in the file last is what holds, and no administrator is ever out of reach.
	made, err := core.Bootstrap(ctx, identity.BootstrapInput{}, func(s identity.BootstrapSecrets) error {
		return tell(Bootstrap{Username: s.Username, Password: s.Password, APIKey: s.APIKey, Token: s.Token})
	})
	if err != nil {
		return fmt.Errorf("make the first administrator: %w", err)
	}
	if made && path != "" {
		log.InfoContext(ctx, "first administrator made; the credentials are in the file and nowhere else", "file", path)
	}
	return nil
}

// WriteBootstrap writes the secrets to a file only its owner may read. The file is whole and on disk when it returns,
// and replaces one that a start without a commit has left.
func WriteBootstrap(path string, b Bootstrap) (err error) {
	type admin struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	//nolint:gosec // the one place where these are written down
	body, err := json.MarshalIndent(struct {
		Admin  admin  `json:"admin"`
		APIKey string `json:"api_key"`
		Token  string `json:"bootstrap_token"`
	}{admin{b.Username, b.Password.Reveal()}, b.APIKey.Reveal(), b.Token.Reveal()}, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(path, append(body, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func replaceFile(path string, body []byte) (err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := os.CreateTemp(dir.Name(), ".bootstrap-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(body)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return dir.Sync() // without it a power cut may bring the old name back
}
