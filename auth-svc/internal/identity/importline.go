package identity

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
)

// line is an Incoming that has been looked at by itself.
type line struct {
	user      User
	foreignID string
	createdAt time.Time
	verified  bool
	bad       []fault.Field
	inDump    int64
	end       ImportCursor
}

// What becomes of a line.
const (
	lineCreated = iota
	linePresent
	lineRefused
	lineTaken
)

func (s *Service) readLines(b ImportBatch) []line {
	lines := make([]line, len(b.People))
	for i, in := range b.People {
		lines[i] = s.readLine(in, b.AllowAdmin)
	}
	return lines
}

// readLine finds all that is wrong with a line without asking the store. Identifiers are held to the same canonical
// form as at a signup.
func (s *Service) readLine(in Incoming, allowAdmin bool) line {
	l := line{end: in.End, inDump: in.InDump, bad: in.Bad, createdAt: in.CreatedAt, verified: in.EmailVerified, foreignID: in.ID}
	if len(l.bad) > 0 {
		return l
	}
	refuse := func(field, code, detail string) {
		l.bad = append(l.bad, fault.Field{Field: field, Code: code, Detail: detail})
	}
	u := User{ID: s.opts.NewID(), Status: Active, Roles: []string{RoleGuest}}
	l.bad = append(l.bad, u.fill(SignupInput{Email: in.Email, Phone: in.Phone, Username: in.Username, Name: in.Name})...)
	if in.EmailVerified && u.EmailKey == "" && strings.TrimSpace(in.Email) == "" {
		refuse("email_verified", "INVALID", "there is no email to be verified")
	}
	if in.Status != "" {
		u.Status = in.Status
	}
	if u.Status != Active && u.Status != Blocked {
		refuse("status", "INVALID", "must be active or blocked")
	}
	if in.Roles != nil {
		u.Roles = sortedRoles(in.Roles)
	}
	l.bad = append(l.bad, checkRoleCount(u.Roles)...)
	if slices.Contains(u.Roles, RoleAdmin) && !allowAdmin {
		refuse("roles", "NOT_ALLOWED", "administrators are only imported when that is allowed")
	}
	if len(in.ID) > maxForeignIDBytes || !isShowable(in.ID) {
		refuse("id", "INVALID", "must be at most "+strconv.Itoa(maxForeignIDBytes)+" bytes of text")
	}
	if l.foreignID == "" {
		l.foreignID = u.firstIdentifier()
	}
	if !in.Password.IsZero() {
		var err error
		if u.PasswordHash, err = s.hasher.Adopt(in.Password); err != nil {
			l.bad = append(l.bad, fieldsOf(err, "password")...)
		}
	}
	l.user = u
	return l
}

// firstIdentifier stands in for the id of a system that has none, so that a second run knows the person again.
func (u User) firstIdentifier() string {
	for _, id := range u.identifiers() {
		return string(id.Kind) + ":" + id.Key
	}
	return ""
}

// identifiers are the names a person has.
func (u User) identifiers() (ids []Identifier) {
	for _, id := range []Identifier{{Email, u.EmailKey}, {Phone, u.Phone}, {Username, u.UsernameKey}} {
		if id.Key != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// fieldsOf is what an error says of fields.
func fieldsOf(err error, field string) []fault.Field {
	var f *fault.Error
	if errors.As(err, &f) && len(f.Fields) > 0 {
		return f.Fields
	}
	return []fault.Field{{Field: field, Code: "INVALID", Detail: "can't be used"}}
}

// one holds a line against the store, and makes the person.
func (r *importing) one(ctx context.Context, l line) (took int, reasons []fault.Field, err error) {
	bad := l.bad
	if len(bad) == 0 {
		if bad, err = r.checkAgainstStore(ctx, l); err != nil {
			return 0, nil, err
		}
	}
	if len(bad) > 0 {
		return lineRefused, bad, nil
	}
	switch known, bad, err := r.known(ctx, l); {
	case err != nil:
		return 0, nil, err
	case len(bad) > 0:
		return lineRefused, bad, nil
	case known:
		return linePresent, nil, nil
	}
	if taken, err := r.taken(ctx, l.user); err != nil || len(taken) > 0 {
		return lineTaken, taken, err
	}
	if r.preview != nil {
		r.preview.remember(r.state.Source, l)
		return lineCreated, nil, nil
	}
	return lineCreated, nil, r.create(ctx, l)
}

// checkAgainstStore refuses roles that are not there, and times that are not yet.
func (r *importing) checkAgainstStore(ctx context.Context, l line) (bad []fault.Field, err error) {
	for _, name := range l.user.Roles {
		exists, asked := r.roles[name]
		if !asked {
			_, err := r.tx.Role(ctx, name)
			if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
				return nil, err
			}
			exists = err == nil
			if len(r.roles) < 1000 {
				r.roles[name] = exists
			}
		}
		if !exists {
			bad = append(bad, fault.Field{Field: "roles", Code: "UNKNOWN", Detail: "there is no role " + strconv.Quote(clip(name, 64))})
		}
	}
	if !l.createdAt.IsZero() && (l.createdAt.Unix() <= 0 || l.createdAt.After(r.tx.Now().Add(clockSkew))) {
		bad = append(bad, fault.Field{Field: "created_at", Code: "INVALID", Detail: "must lie between 1970 and now"})
	}
	return bad, nil
}

// clockSkew is how far another machine's clock may be ahead of ours.
const clockSkew = 5 * time.Minute

// known reports whether this person has come from this source before. An id that belongs to somebody else, who has changed
// nothing since, was given twice.
func (r *importing) known(ctx context.Context, l line) (known bool, bad []fault.Field, err error) {
	givenTwice := []fault.Field{{Field: "id", Code: "DUPLICATE", Detail: "another person came from this source under this id"}}
	if r.preview != nil && r.preview.met(r.state.Source, l) {
		if r.preview.knows(r.state.Source, l) {
			return true, nil, nil
		}
		return false, givenTwice, nil
	}
	id, err := r.tx.ForeignPerson(ctx, r.state.Source, l.foreignID)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	u, err := r.tx.User(ctx, id)
	if err != nil {
		return false, nil, err
	}
	if u.Version > 1 || slices.ContainsFunc(u.identifiers(), func(i Identifier) bool { return slices.Contains(l.user.identifiers(), i) }) {
		return true, nil, nil
	}
	return false, givenTwice, nil
}

// taken lists the identifiers that belong to somebody else.
func (r *importing) taken(ctx context.Context, u User) (taken []fault.Field, err error) {
	for _, id := range u.identifiers() {
		_, err := r.tx.UserByIdentifier(ctx, id)
		free := errors.Is(err, fault.Of(fault.NotFound))
		if err != nil && !free {
			return nil, err
		}
		if !free || r.preview != nil && r.preview.has(id) {
			taken = append(taken, fault.Field{Field: string(id.Kind), Code: "TAKEN", Detail: "belongs to an account that exists"})
		}
	}
	return taken, nil
}

func (r *importing) create(ctx context.Context, l line) error {
	u := l.user.born(r.tx.Now())
	if !l.createdAt.IsZero() {
		u.CreatedAt = l.createdAt.UTC().Truncate(time.Microsecond)
	}
	if l.verified {
		u.EmailVerifiedAt = u.CreatedAt
	}
	if err := r.tx.InsertUser(ctx, u); err != nil {
		return err
	}
	return r.tx.InsertForeignID(ctx, ForeignID{UserID: u.ID, Source: r.state.Source, ID: l.foreignID})
}

// isSource takes what is fit for a flag, an audit row and a file name.
func isSource(s string) bool {
	return s != "" && len(s) <= maxSourceBytes && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}
