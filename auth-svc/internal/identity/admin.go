package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

var (
	errLastAdmin = fault.New(fault.Conflict, "the last administrator can't be removed, blocked or demoted")
	errNoUser    = fault.New(fault.NotFound, "no such user")
	errOwnNames  = fault.New(fault.Forbidden, "your own email, phone and username change only with your password")
	errOwnself   = fault.New(fault.Conflict, "deleting yourself takes your password")
)

// maxUserRoles of one person. Every request of theirs is held against each.
const maxUserRoles = 16

// NewUser is a person whom an administrator makes.
type NewUser struct {
	Email, Phone, Username string // as typed; empty for none
	Name                   string
	Password               secret.String // empty: no password opens the account until one is set by a reset
	Roles                  []string      // nil for guest
	Permissions            []principal.Permission
	Client                 Client // of the caller
}

// CreateUser makes a person, without a session. Nobody gives more than they have, but for what every guest has.
// Faults: Forbidden, Invalid, UserExists, Overloaded.
func (s *Service) CreateUser(ctx context.Context, caller principal.Principal, in NewUser) (User, error) {
	u, bad := in.user()
	if !in.Password.IsZero() {
		bad = append(bad, s.checkPassword(s.policyNamed(in.Client.Policy), "password", in.Password, u)...)
	}
	if len(bad) > 0 {
		return User{}, fault.Validation(bad...)
	}
	client := in.Client.cleaned()
	a := act{resource: resUsers, verb: actCreate, name: "user.create", subject: caller.UserID, client: client}
	// The permission first: a hash is work that strangers must not be able to ask for.
	err := s.store.View(ctx, func(tx Tx) error { return check(ctx, tx, caller, a) })
	if err == nil && !in.Password.IsZero() {
		u.PasswordHash, err = s.hash(ctx, in.Password)
	}
	if err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	u.ID = s.opts.NewID()
	a.target, a.detail = userTarget(u.ID), map[string]any{"roles": u.Roles, "permissions": texts(u.Permissions)}
	err = s.store.InTx(ctx, func(tx Tx) error {
		if err := checkAndLog(ctx, tx, caller, a); err != nil {
			return err
		}
		everyone, err := permissionsOf(ctx, tx, []string{RoleGuest}, nil)
		if err != nil {
			return err
		}
		wanted, err := permissionsOf(ctx, tx, u.Roles, u.Permissions)
		if err != nil {
			return err
		}
		if err := mayGive(ctx, tx, caller, everyone, wanted); err != nil {
			return err
		}
		if err := mayCrown(ctx, tx, caller, nil, u.Roles); err != nil {
			return err
		}
		u = u.born(tx.Now())
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		return s.askToVerify(ctx, tx, u, client)
	})
	s.post.wake()
	return u, err
}

// user reads what was given, and finds all that is wrong with it.
func (in NewUser) user() (u User, bad []fault.Field) {
	u = User{Status: Active, Roles: []string{RoleGuest}, Permissions: SortPermissions(in.Permissions)}
	if in.Roles != nil {
		u.Roles = sortedRoles(in.Roles)
	}
	bad = u.fill(SignupInput{Email: in.Email, Phone: in.Phone, Username: in.Username, Name: in.Name})
	bad = append(bad, checkPermissions(in.Permissions)...)
	return u, append(bad, checkRoleCount(u.Roles)...)
}

// UserEdit says what to change about somebody: nil leaves a field, "" removes a name.
type UserEdit struct {
	Name, Email, Phone, Username *string
	Status                       *Status
	Roles                        *[]string
	Permissions                  *[]principal.Permission
	Client                       Client // of the caller
}

func (e UserEdit) names() UserChange {
	return UserChange{Name: e.Name, Email: e.Email, Phone: e.Phone, Username: e.Username}
}

func (e UserEdit) touchesRights() bool { return e.Roles != nil || e.Permissions != nil }

// check finds what is wrong by itself.
func (e UserEdit) check() (bad []fault.Field) {
	_, bad = e.names().apply(&User{})
	if e.Status != nil && *e.Status != Active && *e.Status != Blocked {
		bad = append(bad, fault.Field{Field: "status", Code: "INVALID", Detail: "must be active or blocked"})
	}
	if e.Roles != nil {
		bad = append(bad, checkRoleCount(*e.Roles)...)
	}
	if e.Permissions != nil {
		bad = append(bad, checkPermissions(*e.Permissions)...)
	}
	return bad
}

// describe is the edit in the audit trail. Names are personal: only which of them changed is told.
func (e UserEdit) describe() (name string, detail map[string]any) {
	detail = map[string]any{}
	if fields, _ := e.names().apply(&User{}); len(fields) > 0 {
		detail["fields"] = fields
	}
	if e.Status != nil {
		detail["status"] = *e.Status
	}
	if e.Roles != nil {
		detail["roles"] = sortedRoles(*e.Roles)
	}
	if e.Permissions != nil {
		detail["permissions"] = texts(SortPermissions(*e.Permissions))
	}
	switch {
	case detail["fields"] != nil, e.Status != nil && e.touchesRights():
		return "user.update", detail
	case e.Status != nil:
		return "user.status", detail
	default:
		return "user.rights", detail
	}
}

// SetStatus blocks or unblocks a person; blocking ends the person's sessions. Faults: as EditUser.
func (s *Service) SetStatus(ctx context.Context, caller principal.Principal, userID string, status Status) (User, error) {
	return s.EditUser(ctx, caller, userID, UserEdit{Status: &status})
}

// EditUser changes a person. A change of status or rights makes every token the person holds stale in the same
// transaction; blocking ends the sessions. Nobody gives more than they have, or changes somebody who has more. Faults:
// Forbidden, NotFound, Invalid, UserExists, Conflict for the last administrator.
func (s *Service) EditUser(ctx context.Context, caller principal.Principal, userID string, e UserEdit) (u User, err error) {
	if bad := e.check(); len(bad) > 0 {
		return User{}, fault.Validation(bad...)
	}
	// The owner is left empty, so that scope self does not let people change their own rights.
	client := e.Client.cleaned()
	a := act{resource: resUsers, verb: actUpdate, target: userTarget(userID), subject: caller.UserID, client: client}
	a.name, a.detail = e.describe()
	err = s.change(ctx, func(tx Tx) error {
		if u, err = reach(ctx, tx, caller, userID, a); err != nil {
			return err
		}
		if userID == caller.UserID && e.names().touchesIdentifiers() {
			return errOwnNames
		}
		before := u
		if err := e.apply(ctx, tx, caller, &u); err != nil {
			return err
		}
		u.UpdatedAt = tx.Now()
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		if err := s.emailChanged(ctx, tx, before, u, client); err != nil || !before.rules() || u.rules() {
			return err
		}
		return keepAnAdmin(ctx, tx)
	})
	s.post.wake()
	return u, err
}

// reach passes the door to somebody's record and returns it. What people may do to their own, any key of theirs with the
// permission may do.
func reach(ctx context.Context, tx Tx, caller principal.Principal, userID string, a act) (User, error) {
	if err := checkAndLog(ctx, tx, caller, a); err != nil {
		return User{}, err
	}
	u, err := tx.User(ctx, userID)
	if err != nil {
		return User{}, missing(err)
	}
	if own := userID == caller.UserID && a.owner == userID; own {
		return u, nil
	}
	return u, mayRule(ctx, tx, caller, userID)
}

func (e UserEdit) apply(ctx context.Context, tx Tx, caller principal.Principal, u *User) (err error) {
	e.names().apply(u)
	if err := reachable(ctx, tx, *u); err != nil {
		return err
	}
	if e.Status == nil && !e.touchesRights() {
		return nil
	}
	kept := time.Duration(0)
	if e.Status != nil {
		kept = longKept
	}
	if u.Epoch, err = raiseEpoch(ctx, tx, u.ID, kept); err != nil {
		return err
	}
	if e.touchesRights() {
		if err := e.giveRights(ctx, tx, caller, u); err != nil {
			return err
		}
	}
	if e.Status == nil {
		return nil
	}
	if u.Status = *e.Status; u.Status == Active {
		return nil
	}
	_, err = endSessions(ctx, tx, u.ID, "")
	return err
}

func (e UserEdit) giveRights(ctx context.Context, tx Tx, caller principal.Principal, u *User) error {
	before, err := tx.Rights(ctx, u.ID)
	if err != nil {
		return err
	}
	if e.Roles != nil {
		u.Roles = sortedRoles(*e.Roles)
	}
	if e.Permissions != nil {
		u.Permissions = SortPermissions(*e.Permissions)
	}
	wanted, err := permissionsOf(ctx, tx, u.Roles, u.Permissions)
	if err != nil {
		return err
	}
	if err := mayGive(ctx, tx, caller, before.Permissions, wanted); err != nil {
		return err
	}
	if err := mayCrown(ctx, tx, caller, before.Roles, u.Roles); err != nil {
		return err
	}
	return tx.SetRoles(ctx, u.ID, u.Roles)
}

// DeleteUser erases a person: sessions and API keys end, user_deleted goes into the log. Faults: Forbidden, NotFound,
// Conflict for the last administrator and for the caller, who has DeleteMe.
func (s *Service) DeleteUser(ctx context.Context, caller principal.Principal, userID string) error {
	a := act{resource: resUsers, verb: actDelete, name: "user.delete", target: userTarget(userID)}
	return s.change(ctx, func(tx Tx) error {
		u, err := reach(ctx, tx, caller, userID, a)
		if err != nil {
			return err
		}
		if userID == caller.UserID {
			return errOwnself
		}
		return erase(ctx, tx, u)
	})
}

// rules reports whether this is an administrator who can come in.
func (u User) rules() bool { return u.Status == Active && slices.Contains(u.Roles, RoleAdmin) }

// keepAnAdmin undoes the transaction that would have left nobody in charge. It runs after an append to the log, whose
// lock keeps two such changes from passing each other.
func keepAnAdmin(ctx context.Context, tx Tx) error {
	n, err := tx.CountActive(ctx, RoleAdmin)
	if err != nil {
		return err
	}
	if n == 0 {
		return errLastAdmin
	}
	return nil
}

// erase removes a person. The files service reads the log entry and removes their files.
func erase(ctx context.Context, tx Tx, u User) error {
	until, err := tx.TokensUntil(ctx, u.ID)
	if err != nil {
		return err
	}
	if _, err := endSessions(ctx, tx, u.ID, ""); err != nil {
		return err
	}
	if _, err := revoke(ctx, tx, KindUserDeleted, u.ID, later(until, tx.Now().Add(longKept))); err != nil {
		return err
	}
	if err := tx.DeleteUser(ctx, u.ID); err != nil || !u.rules() {
		return err
	}
	return keepAnAdmin(ctx, tx)
}

func sortedRoles(roles []string) []string { return slices.Compact(slices.Sorted(slices.Values(roles))) }

func checkRoleCount(roles []string) []fault.Field {
	if len(roles) > maxUserRoles {
		return []fault.Field{{Field: "roles", Code: "TOO_MANY", Detail: "at most " + strconv.Itoa(maxUserRoles) + " roles"}}
	}
	return nil
}

func missing(err error) error {
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return errNoUser
	}
	return err
}
