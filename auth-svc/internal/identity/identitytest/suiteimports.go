package identitytest

import (
	"context"
	"testing"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func checkForeignIDs(_ *testing.T, s *suite) {
	ada, bob := s.user("ada", "guest"), s.user("bob", "guest")
	ids := []identity.ForeignID{
		{UserID: ada.ID, Source: "shop", ID: "1"}, {UserID: ada.ID, Source: "wiki", ID: "1"}, {UserID: bob.ID, Source: "shop", ID: "2"},
	}
	s.write(func(ctx context.Context, tx identity.Tx) error {
		for _, f := range ids {
			if err := tx.InsertForeignID(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
	if s.try(func(ctx context.Context, tx identity.Tx) error {
		return tx.InsertForeignID(ctx, identity.ForeignID{UserID: bob.ID, Source: "shop", ID: "1"})
	}) == nil {
		s.Error("one foreign id stands for two people")
	}
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.ForeignIDsOf(ctx, ada.ID)
		s.same(ids[:2], got)
		if err != nil {
			return err
		}
		for _, page := range []struct {
			after string
			limit int
			want  []identity.ForeignID
		}{{"", 9, []identity.ForeignID{ids[0], ids[2]}}, {"", 1, ids[:1]}, {"1", 9, ids[2:]}, {"2", 9, nil}} {
			got, err := tx.ForeignIDs(ctx, "shop", page.after, page.limit)
			s.same(page.want, got)
			if err != nil {
				return err
			}
		}
		id, err := tx.ForeignPerson(ctx, "shop", "2")
		s.same(bob.ID, id)
		return err
	})
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.ForeignPerson(ctx, "shop", "1")
		return err
	})
}

func checkImportStates(_ *testing.T, s *suite) {
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.ImportState(ctx, "shop")
		return err
	})
	state := identity.ImportState{
		Source: "shop", Version: 1, Cursor: identity.ImportCursor{Lines: 3, Bytes: 1 << 40, Digest: [32]byte{7}},
		Counts: identity.ImportCounts{Created: 1, Present: 2, Skipped: 3, Refused: 4},
		Refused: []identity.ImportRefusal{
			{Line: 2, Skipped: true, Reasons: []fault.Field{{Field: "email", Code: "TAKEN", Detail: "belongs to “somebody”"}}},
		},
	}
	for range 2 {
		s.write(func(ctx context.Context, tx identity.Tx) error {
			state.UpdatedAt = tx.Now()
			return tx.PutImportState(ctx, state)
		})
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.ImportState(ctx, "shop")
			s.same(state, got)
			return err
		})
		state.Version, state.Cursor.Lines, state.Refused, state.Counts.Skipped = 2, 9, nil, 0
	}
}

func checkHashKinds(_ *testing.T, s *suite) {
	kinds := func(limit int, want ...string) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.HashKinds(ctx, limit)
			s.same(want, got)
			return err
		})
	}
	kinds(10)
	set := func(u identity.User, hash string) {
		s.write(func(ctx context.Context, tx identity.Tx) error {
			u, err := tx.User(ctx, u.ID)
			u.PasswordHash = hash
			if err != nil {
				return err
			}
			return tx.UpdateUser(ctx, u)
		})
	}
	ada, bob, eve := s.user("ada", "guest"), s.user("bob", "guest"), s.user("eve", "guest")
	set(ada, "$scrypt$ln=10,r=8,p=1$c2FsdA$a2V5")
	set(bob, "$2b$12$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e")
	set(eve, "$scrypt$ln=10,r=8,p=1$bW9yZQ$b3RoZXI")
	kinds(10, "$2b$12", "$scrypt$ln=10,r=8,p=1")
	kinds(1, "$2b$12")
	set(bob, "")
	kinds(10, "$scrypt$ln=10,r=8,p=1")
}
