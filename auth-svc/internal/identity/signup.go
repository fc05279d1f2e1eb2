package identity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// SignupInput is what a new person gives. At least one identifier is needed.
type SignupInput struct {
	Email, Phone, Username string // as typed; empty for none
	Password               secret.String
	Name                   string
	Client                 Client
	BootstrapToken         secret.String // makes the person an administrator, once
	NoSession              bool          // makes the person alone
}

var errBootstrapToken = fault.New(fault.Forbidden, "the bootstrap token is not valid or has been used")

// Signup makes a person with role guest, and a session unless none is wanted. Faults: Invalid, UserExists, Overloaded; Forbidden for a
// bootstrap token that is wrong or spent.
func (s *Service) Signup(ctx context.Context, in SignupInput) (Entry, error) {
	u := User{Status: Active, Roles: []string{RoleGuest}}
	bad := u.fill(in)
	bad = append(bad, s.checkPassword(s.policyNamed(in.Client.Policy), "password", in.Password, u)...)
	if len(bad) > 0 {
		return Entry{}, fault.Validation(bad...)
	}
	var err error
	if u.PasswordHash, err = s.hash(ctx, in.Password); err != nil {
		return Entry{}, fmt.Errorf("hash password: %w", err)
	}
	u.ID = s.opts.NewID()
	var e entering
	err = s.change(ctx, func(tx Tx) (err error) {
		e, err = s.signUp(ctx, tx, u, in, ProofPassword)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("sign up: %w", err)
	}
	s.post.wake()
	if in.NoSession {
		return Entry{User: e.user, Rights: e.rights}, nil
	}
	return s.entered(e)
}

// signUp adds the person, and a session that was opened with this proof.
func (s *Service) signUp(ctx context.Context, tx Tx, u User, in SignupInput, proof Proof) (entering, error) {
	if !in.BootstrapToken.IsZero() {
		ok, err := tx.SpendBootstrapToken(ctx, sha256.Sum256([]byte(in.BootstrapToken.Reveal())))
		if err != nil {
			return entering{}, err
		}
		if !ok {
			return entering{}, errBootstrapToken
		}
		u.Roles = []string{RoleAdmin}
	}
	u = u.born(tx.Now())
	if !in.NoSession {
		u.LastLoginAt = tx.Now()
	}
	if err := tx.InsertUser(ctx, u); err != nil {
		return entering{}, err
	}
	client := in.Client.cleaned()
	e, detail := entering{user: u}, map[string]any{"roles": u.Roles, "by": string(proof)}
	var err error
	if in.NoSession {
		e.rights, err = tx.Rights(ctx, u.ID)
	} else {
		e, err = s.openSession(ctx, tx, u, client, proof)
		detail["session_id"] = e.session.ID
	}
	if err != nil {
		return entering{}, err
	}
	if err := tx.PutDevice(ctx, u.ID, s.deviceKey(u.ID, client), maxDevices); err != nil {
		return entering{}, err
	}
	if err := s.askToVerify(ctx, tx, u, client); err != nil {
		return entering{}, err
	}
	return e, logAct(ctx, tx, userTarget(u.ID), act{
		name: "user.signup", target: userTarget(u.ID), detail: detail,
		subject: u.ID, client: client,
	})
}

// fill takes over names and identifiers, and finds all that is wrong with them.
func (u *User) fill(in SignupInput) (bad []fault.Field) {
	bad = append(bad, u.setName(in.Name)...)
	bad = append(bad, u.setEmail(in.Email)...)
	bad = append(bad, u.setPhone(in.Phone)...)
	bad = append(bad, u.setUsername(in.Username)...)
	if len(bad) == 0 {
		bad = u.checkReachable()
	}
	return bad
}

func (u *User) checkReachable() []fault.Field {
	if u.EmailKey == "" && u.Phone == "" && u.UsernameKey == "" {
		return []fault.Field{{Field: "email", Code: "REQUIRED", Detail: "one of email, phone and username is needed"}}
	}
	return nil
}

func (u User) born(now time.Time) User {
	u.Version, u.CreatedAt, u.UpdatedAt = 1, now, now
	return u
}
