package identity

import (
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

var errCurrentPassword = fault.New(fault.InvalidCurrentPassword, "the current password is wrong")

// Profile is a person as they see themselves.
type Profile struct {
	User
	Factors []FactorKind // the kinds that guard the person, each once
}

// Me returns the caller's own record.
func (s *Service) Me(ctx context.Context, caller principal.Principal) (p Profile, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead, owner: caller.UserID})
		if err != nil {
			return err
		}
		if p.User, err = tx.User(ctx, caller.UserID); err != nil {
			return err
		}
		p.Factors, err = kindsHeld(ctx, tx, caller.UserID)
		return err
	})
	return p, err
}

// UserChange says what to change about oneself: nil leaves a field, "" removes it. Identifiers need CurrentPassword.
type UserChange struct {
	Name, Email, Phone, Username *string
	CurrentPassword              secret.String
	Lately                       bool   // a recent proof does in place of CurrentPassword
	Client                       Client // guesses of the password are counted against it
}

// touchesIdentifiers reports whether the change is one that could take the account over.
func (c UserChange) touchesIdentifiers() bool {
	return c.Email != nil || c.Phone != nil || c.Username != nil
}

// apply changes u, finds all that is wrong, and lists what was given, for the audit trail.
func (c UserChange) apply(u *User) (fields []string, bad []fault.Field) {
	for _, f := range []struct {
		name  string
		value *string
		set   func(string) []fault.Field
	}{{"name", c.Name, u.setName}, {"email", c.Email, u.setEmail}, {"phone", c.Phone, u.setPhone}, {"username", c.Username, u.setUsername}} {
		if f.value != nil {
			fields = append(fields, f.name)
			bad = append(bad, f.set(*f.value)...)
		}
	}
	return fields, bad
}

// UpdateMe changes the caller's own record. Faults: Invalid, InvalidCurrentPassword, UserExists.
func (s *Service) UpdateMe(ctx context.Context, caller principal.Principal, change UserChange) (p Profile, err error) {
	fields, bad := change.apply(&User{}) // what is wrong by itself is told before a hash is spent on it
	if len(bad) > 0 {
		return Profile{}, fault.Validation(bad...)
	}
	a := act{
		resource: resUsers, verb: actUpdate, owner: caller.UserID, name: "user.update", target: userTarget(caller.UserID),
		detail: map[string]any{"fields": fields},
	}
	var confirmed User
	if change.touchesIdentifiers() {
		if confirmed, err = s.confirm(ctx, caller, a, change.Client, confirmation{change.CurrentPassword, change.Lately}); err != nil {
			return Profile{}, err
		}
	}
	err = s.store.InTx(ctx, func(tx Tx) error {
		u, err := own(ctx, tx, caller, a)
		if err != nil {
			return err
		}
		if change.touchesIdentifiers() {
			if u.PasswordHash != confirmed.PasswordHash {
				return errCurrentPassword
			}
			if err := guardedByFactor(ctx, tx, caller); err != nil {
				return err
			}
		}
		before := u
		change.apply(&u)
		if err := reachable(ctx, tx, u); err != nil {
			return err
		}
		u.UpdatedAt = tx.Now()
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		p.User = u
		if p.Factors, err = kindsHeld(ctx, tx, u.ID); err != nil {
			return err
		}
		return s.emailChanged(ctx, tx, before, u, change.Client.cleaned())
	})
	s.post.wake()
	return p, err
}

// ChangePassword sets a new password and ends every other session. Faults: Invalid, InvalidCurrentPassword.
func (s *Service) ChangePassword(ctx context.Context, caller principal.Principal, client Client, current, next secret.String) error {
	return s.changePassword(ctx, caller, client, confirmation{password: current}, next)
}

// ChangePasswordLately is ChangePassword for contracts that do not ask for the current password: the caller must have shown
// lately to be the person. Faults: Invalid, Forbidden without such a proof.
func (s *Service) ChangePasswordLately(ctx context.Context, caller principal.Principal, client Client, next secret.String) error {
	return s.changePassword(ctx, caller, client, confirmation{lately: true}, next)
}

func (s *Service) changePassword(ctx context.Context, caller principal.Principal, client Client, by confirmation, next secret.String) error {
	a := act{
		resource: resUsers, verb: actUpdate, owner: caller.UserID, name: "user.password_change", target: userTarget(caller.UserID),
	}
	confirmed, err := s.confirm(ctx, caller, a, client, by)
	if err != nil {
		return err
	}
	if bad := s.checkPassword(s.policyNamed(client.Policy), "new_password", next, confirmed); len(bad) > 0 {
		return fault.Validation(bad...)
	}
	fresh, err := s.hash(ctx, next)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	err = s.change(ctx, func(tx Tx) error {
		u, err := own(ctx, tx, caller, a)
		if err != nil {
			return err
		}
		if u.PasswordHash != confirmed.PasswordHash {
			return errCurrentPassword
		}
		if err := guardedByFactor(ctx, tx, caller); err != nil {
			return err
		}
		u.PasswordHash, u.UpdatedAt = fresh, tx.Now()
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		if _, err = endSessions(ctx, tx, u.ID, caller.SessionID); err != nil {
			return err
		}
		return s.passwordChanged(ctx, tx, u, client.cleaned())
	})
	s.post.wake()
	return err
}

// DeleteMe erases the caller: sessions and API keys end, user_deleted goes into the log. Faults:
// InvalidCurrentPassword, Conflict for the last administrator.
func (s *Service) DeleteMe(ctx context.Context, caller principal.Principal, client Client, current secret.String) error {
	return s.deleteMe(ctx, caller, client, confirmation{password: current})
}

// DeleteMeLately is DeleteMe for contracts that do not ask for the current password: the caller must have shown lately to be
// the person. Faults: Forbidden without such a proof, Conflict for the last administrator.
func (s *Service) DeleteMeLately(ctx context.Context, caller principal.Principal, client Client) error {
	return s.deleteMe(ctx, caller, client, confirmation{lately: true})
}

func (s *Service) deleteMe(ctx context.Context, caller principal.Principal, client Client, by confirmation) error {
	a := act{resource: resUsers, verb: actDelete, owner: caller.UserID, name: "user.delete", target: userTarget(caller.UserID)}
	confirmed, err := s.confirm(ctx, caller, a, client, by)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx Tx) error {
		u, err := own(ctx, tx, caller, a)
		if err != nil {
			return err
		}
		if u.PasswordHash != confirmed.PasswordHash {
			return errCurrentPassword
		}
		if err := guardedByFactor(ctx, tx, caller); err != nil {
			return err
		}
		return erase(ctx, tx, u)
	})
}

// confirmation is how somebody shows again to be the person.
type confirmation struct {
	password secret.String
	lately   bool // by a recent proof in place of the password
}

// confirm asks for the caller's password again, before the transaction; who has none, or need not give it, must have come in lately. Whoever writes then compares the hash with the
// one that was proved: the password may have changed in between.
func (s *Service) confirm(ctx context.Context, caller principal.Principal, a act, client Client, by confirmation) (u User, err error) {
	if caller.SessionID == "" {
		return User{}, errNeedsSession
	}
	g := s.newConfirm(caller.UserID, client.cleaned())
	err = g.admit(ctx, func(tx Tx) (known bool, err error) {
		if err = check(ctx, tx, caller, a); err != nil {
			return false, err
		}
		if u, err = tx.User(ctx, caller.UserID); err != nil || (u.PasswordHash != "" && !by.lately) {
			return true, err
		}
		return true, recentlyProved(ctx, tx, caller)
	})
	if err != nil {
		return User{}, err
	}
	defer g.end(ctx)
	if u.PasswordHash == "" || by.lately {
		return u, nil
	}
	match, _, err := s.guarded(ctx, g, by.password, u.PasswordHash)
	if err != nil {
		return User{}, err
	}
	if !match {
		return User{}, errCurrentPassword
	}
	return u, nil
}

// own passes the door and returns the caller's locked row.
func own(ctx context.Context, tx Tx, caller principal.Principal, a act) (User, error) {
	if err := checkAndLog(ctx, tx, caller, a); err != nil {
		return User{}, err
	}
	u, err := tx.User(ctx, caller.UserID)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return User{}, errSessionEnded
	}
	return u, err
}
