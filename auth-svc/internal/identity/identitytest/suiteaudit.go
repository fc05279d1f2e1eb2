package identitytest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func checkAuditSearch(_ *testing.T, s *suite) {
	var rows []identity.AuditRow
	start := s.clock.Now()
	for i := range 6 {
		s.clock.Advance(time.Second)
		row := identity.AuditRow{
			Seq: int64(i + 1), At: s.clock.Now(), Actor: fmt.Sprintf("user:%d", i%2), Action: fmt.Sprintf("act.%d", i%3),
			Target: fmt.Sprintf("user:%d", i/3), Detail: []byte(`{}`), Hash: [32]byte{byte(i + 1)},
		}
		if i == 4 {
			row.Subject, row.Sealed = "7", []byte{1, 2}
		}
		rows = append(rows, row)
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertAudit(ctx, row) })
	}
	find := func(f identity.AuditFilter, before int64, limit int, want ...int64) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.FindAudit(ctx, f, before, limit)
			var seqs []int64
			for _, r := range got {
				s.same(rows[r.Seq-1], r)
				seqs = append(seqs, r.Seq)
			}
			s.same(want, seqs)
			return err
		})
	}
	find(identity.AuditFilter{}, 0, 10, 6, 5, 4, 3, 2, 1)
	find(identity.AuditFilter{}, 5, 2, 4, 3)
	find(identity.AuditFilter{Actor: "user:1"}, 0, 10, 6, 4, 2)
	find(identity.AuditFilter{Action: "act.2", Target: "user:0"}, 0, 10, 3)
	find(identity.AuditFilter{UserID: "1"}, 0, 10, 6, 5, 4, 2)
	find(identity.AuditFilter{UserID: "7"}, 0, 10, 5)
	find(identity.AuditFilter{Since: start.Add(3 * time.Second), Until: start.Add(5 * time.Second)}, 0, 10, 4, 3)
	find(identity.AuditFilter{Actor: "' OR 1=1 --"}, 0, 10)
}

func checkCheckpoints(_ *testing.T, s *suite) {
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.LastCheckpoint(ctx)
		return err
	})
	var all []identity.Checkpoint
	for i := range 3 {
		c := identity.Checkpoint{Seq: int64(10 * (i + 1)), At: s.clock.Now(), Hash: [32]byte{byte(i)}, KeyID: "k", Signature: []byte{9}}
		all = append(all, c)
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertCheckpoint(ctx, c) })
	}
	s.read(func(ctx context.Context, tx identity.Tx) error {
		last, err := tx.LastCheckpoint(ctx)
		s.same(all[2], last)
		some, listErr := tx.Checkpoints(ctx, 10, 1)
		s.same(all[1:2], some)
		if err == nil {
			err = listErr
		}
		return err
	})
}

func checkPersonKeys(_ *testing.T, s *suite) {
	u := s.user("ada", "guest")
	missing := func() {
		s.Helper()
		s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.PersonKey(ctx, u.ID)
			return err
		})
	}
	missing()
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertPersonKey(ctx, u.ID, [32]byte{5}) })
	s.read(func(ctx context.Context, tx identity.Tx) error {
		key, err := tx.PersonKey(ctx, u.ID)
		s.same([32]byte{5}, key)
		return err
	})
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, u.ID) })
	missing()
}
