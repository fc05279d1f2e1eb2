package identitytest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func checkDirectory(_ *testing.T, s *suite) {
	var people []identity.User // newest first
	for _, p := range []struct{ name, role string }{{"ada", "admin"}, {"bob", "guest"}, {"adam", "guest"}, {"100%_a", "guest"}} {
		s.clock.Advance(time.Second)
		people = append([]identity.User{s.user(p.name, p.role)}, people...)
	}
	odd, adam, bob, ada := people[0], people[1], people[2], people[3]
	bob.Status, bob.Phone, bob.Name = identity.Blocked, "+15551234567", "Robert ZIMMERMANN"
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, bob) })
	list := func(f identity.UserFilter, after identity.Cursor, limit int, want ...identity.User) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.FindUsers(ctx, f, after, limit)
			var ids, wantIDs []string
			for _, u := range got {
				ids = append(ids, u.ID)
			}
			for _, u := range want {
				wantIDs = append(wantIDs, u.ID)
			}
			s.same(wantIDs, ids)
			return err
		})
	}
	checkOrder(s, ada, bob, adam, odd)
	at := func(u identity.User) identity.Cursor { return identity.Cursor{At: u.CreatedAt, ID: u.ID} }
	list(identity.UserFilter{}, identity.Cursor{}, 10, odd, adam, bob, ada)
	list(identity.UserFilter{}, identity.Cursor{}, 2, odd, adam)
	list(identity.UserFilter{}, at(adam), 2, bob, ada)
	list(identity.UserFilter{}, at(ada), 2)
	list(identity.UserFilter{Status: identity.Blocked}, identity.Cursor{}, 10, bob)
	list(identity.UserFilter{Role: "admin"}, identity.Cursor{}, 10, ada)
	list(identity.UserFilter{Role: "guest"}, at(odd), 1, adam)
	list(identity.UserFilter{Role: "nobody's"}, identity.Cursor{}, 10)
	list(identity.UserFilter{Role: "guest", Status: identity.Active, Text: "ADA"}, identity.Cursor{}, 10, adam)
	list(identity.UserFilter{Text: "Ada"}, identity.Cursor{}, 10, adam, ada)
	list(identity.UserFilter{Text: "am@example"}, identity.Cursor{}, 10, adam)
	list(identity.UserFilter{Text: "555123"}, identity.Cursor{}, 10, bob)
	list(identity.UserFilter{Text: "zimmer"}, identity.Cursor{}, 10, bob)
	list(identity.UserFilter{Text: "0%_"}, identity.Cursor{}, 10, odd) // no wildcards
	list(identity.UserFilter{Text: "%"}, identity.Cursor{}, 10, odd)
	list(identity.UserFilter{Text: `\`}, identity.Cursor{}, 10)
}

// checkOrder looks at pages by number of the same people, who were made in this order.
func checkOrder(s *suite, ada, bob, adam, odd identity.User) {
	inOrder := func(o identity.UserOrder, skip int64, limit int, want ...identity.User) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.UsersInOrder(ctx, o, skip, limit)
			names, wanted := []string{}, []string{}
			for _, u := range got {
				names = append(names, u.Username)
			}
			for _, u := range want {
				wanted = append(wanted, u.Username)
			}
			s.same(wanted, names)
			return err
		})
	}
	inOrder(identity.UserOrder{By: identity.ByCreation}, 0, 10, ada, bob, adam, odd)
	inOrder(identity.UserOrder{By: identity.ByCreation, Descending: true}, 1, 2, adam, bob)
	inOrder(identity.UserOrder{By: identity.ByChange, Descending: true}, 0, 1, odd)
	inOrder(identity.UserOrder{By: identity.ByChange}, 4, 10)
	s.read(func(ctx context.Context, tx identity.Tx) error {
		up, err := tx.UsersInOrder(ctx, identity.UserOrder{By: identity.ByUsername}, 0, 10)
		if err != nil {
			return err
		}
		down, err := tx.UsersInOrder(ctx, identity.UserOrder{By: identity.ByUsername, Descending: true}, 0, 10)
		slices.Reverse(down)
		s.same(up, down)
		s.same(true, slices.IsSortedFunc(up, func(a, b identity.User) int { return strings.Compare(a.UsernameKey, b.UsernameKey) }))
		return err
	})
}

func checkSessionNames(_ *testing.T, s *suite) {
	u := s.user("ada", "guest")
	sess := s.session(u.ID, time.Hour)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.NameSession(ctx, sess.ID, "kitchen") })
	sess.DeviceName = "kitchen"
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Session(ctx, sess.ID)
		s.same(sess, got)
		return err
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.NameSession(ctx, s.id(), "x") })
}
