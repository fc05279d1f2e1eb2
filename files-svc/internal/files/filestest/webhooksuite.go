package filestest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/fault"
)

// RunWebhooks holds a store of deliveries to its port. open makes an empty one.
func RunWebhooks(t *testing.T, open func(t *testing.T) webhook.Store) {
	for name, check := range map[string]func(*testing.T, hooksTest){
		"states round-trip and go with their deliveries": checkHookStates,
		"deliveries are found when they are due":         checkHookDue,
		"deliveries change and go":                       checkHookChanges,
		"what is parked is bounded":                      checkHookParked,
		"a failed transaction leaves nothing":            checkHookRollback,
	} {
		t.Run(name, func(t *testing.T) { check(t, hooksTest{t, open(t)}) })
	}
}

type hooksTest struct {
	t *testing.T
	webhook.Store
}

func (h hooksTest) write(fn func(ctx context.Context, tx webhook.Tx) error) {
	h.t.Helper()
	if err := h.Write(h.t.Context(), func(tx webhook.Tx) error { return fn(h.t.Context(), tx) }); err != nil {
		h.t.Fatal(err)
	}
}

func (h hooksTest) read(fn func(ctx context.Context, tx webhook.ReadTx) error) {
	h.t.Helper()
	if err := h.Read(h.t.Context(), func(tx webhook.ReadTx) error { return fn(h.t.Context(), tx) }); err != nil {
		h.t.Fatal(err)
	}
}

// hookSample is a delivery that was not tried.
func hookSample(endpoint string, seq int64) webhook.Delivery {
	return webhook.Delivery{Endpoint: endpoint, ID: endpoint + "-id", Event: files.Event{
		Seq: seq, Kind: files.FileCreated, Owner: "ann", File: "f", Version: 3, Link: "l", At: Noon.Add(time.Duration(seq) * time.Second),
	}}
}

func (h hooksTest) endpoints(names ...string) {
	h.t.Helper()
	h.write(func(ctx context.Context, tx webhook.Tx) error {
		var errs []error
		for _, n := range names {
			errs = append(errs, tx.SaveWebhookState(ctx, webhook.State{Endpoint: n}))
		}
		return errors.Join(errs...)
	})
}

func (h hooksTest) insert(list ...webhook.Delivery) {
	h.t.Helper()
	h.write(func(ctx context.Context, tx webhook.Tx) error {
		var errs []error
		for _, d := range list {
			errs = append(errs, tx.InsertDelivery(ctx, d))
		}
		return errors.Join(errs...)
	})
}

func (h hooksTest) same(says string, want, got any, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%s: %v", says, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("%s (-want +got):\n%s", says, diff)
	}
}

func seqs(list []webhook.Delivery) (out []int64) {
	for _, d := range list {
		out = append(out, d.Event.Seq)
	}
	return out
}

func checkHookStates(t *testing.T, h hooksTest) {
	h.endpoints("b", "a")
	changed := webhook.State{Endpoint: "b", Position: 7, StoppedAt: Noon}
	h.write(func(ctx context.Context, tx webhook.Tx) error { return tx.SaveWebhookState(ctx, changed) })
	h.insert(hookSample("a", 1), hookSample("b", 1))
	h.read(func(ctx context.Context, tx webhook.ReadTx) error {
		all, err := tx.WebhookStates(ctx)
		h.same("states", []webhook.State{{Endpoint: "a"}, changed}, all, err)
		one, err := tx.WebhookState(ctx, "b")
		h.same("state", changed, one, err)
		return nil
	})
	h.write(func(ctx context.Context, tx webhook.Tx) error { return tx.DeleteWebhook(ctx, "b") })
	h.read(func(ctx context.Context, tx webhook.ReadTx) error {
		if _, err := tx.WebhookState(ctx, "b"); !errors.Is(err, fault.Of(fault.NotFound)) {
			t.Errorf("state of a deleted one: %v", err)
		}
		b, err := tx.Backlog(ctx, "b")
		h.same("backlog of a deleted one", webhook.Backlog{}, b, err)
		d, err := tx.Delivery(ctx, "a", 1)
		h.same("delivery", hookSample("a", 1), d, err)
		return nil
	})
}

func checkHookDue(_ *testing.T, h hooksTest) {
	h.endpoints("a", "b")
	failed := func(seq int64, next time.Duration) webhook.Delivery {
		d := hookSample("a", seq)
		d.Attempts, d.NextAt, d.Result, d.Status = 2, Noon.Add(next), webhook.Refused, 500
		return d
	}
	given := hookSample("a", 6)
	given.ParkedAt = Noon
	h.insert(hookSample("a", 3), hookSample("a", 1), hookSample("b", 2), failed(4, time.Minute), failed(5, time.Second), failed(7, time.Hour), given)
	h.read(func(ctx context.Context, tx webhook.ReadTx) error {
		fresh, err := tx.FreshDeliveries(ctx, "a", 9)
		h.same("fresh", []int64{1, 3}, seqs(fresh), err)
		fresh, err = tx.FreshDeliveries(ctx, "a", 1)
		h.same("first fresh", []int64{1}, seqs(fresh), err)
		due, err := tx.DueDeliveries(ctx, "a", Noon.Add(time.Minute), 9)
		h.same("due", []webhook.Delivery{failed(5, time.Second), failed(4, time.Minute)}, due, err)
		pending, err := tx.ListDeliveries(ctx, "a", false, 4)
		h.same("pending", []int64{1, 3, 4, 5}, seqs(pending), err)
		parked, err := tx.ListDeliveries(ctx, "a", true, 9)
		h.same("parked", []webhook.Delivery{given}, parked, err)
		b, err := tx.Backlog(ctx, "a")
		h.same("backlog", webhook.Backlog{Pending: 5, Parked: 1, Oldest: hookSample("a", 1).Event.At, Latest: Noon.Add(time.Hour)}, b, err)
		return nil
	})
	h.write(func(ctx context.Context, tx webhook.Tx) error {
		return tx.ClampDeliveries(ctx, "a", Noon.Add(2*time.Second))
	})
	h.read(func(ctx context.Context, tx webhook.ReadTx) error {
		due, err := tx.DueDeliveries(ctx, "a", Noon.Add(2*time.Second), 9)
		h.same("clamped", []int64{5, 4, 7}, seqs(due), err)
		return nil
	})
}

func checkHookChanges(t *testing.T, h hooksTest) {
	h.endpoints("a")
	h.insert(hookSample("a", 1))
	twice := h.Write(t.Context(), func(tx webhook.Tx) error { return tx.InsertDelivery(t.Context(), hookSample("a", 1)) })
	if !errors.Is(twice, fault.Of(fault.Conflict)) {
		t.Errorf("inserted twice: %v", twice)
	}
	want := hookSample("a", 1)
	want.Attempts, want.NextAt, want.ParkedAt, want.Result, want.Status = 3, Noon, Noon.Add(time.Second), webhook.TimedOut, 0
	h.write(func(ctx context.Context, tx webhook.Tx) error { return tx.UpdateDelivery(ctx, want) })
	h.read(func(ctx context.Context, tx webhook.ReadTx) error {
		d, err := tx.Delivery(ctx, "a", 1)
		h.same("delivery", want, d, err)
		return nil
	})
	h.write(func(ctx context.Context, tx webhook.Tx) error {
		return errors.Join(tx.DeleteDelivery(ctx, "a", 1), tx.DeleteDelivery(ctx, "a", 1))
	})
	gone := h.Write(t.Context(), func(tx webhook.Tx) error { return tx.UpdateDelivery(t.Context(), want) })
	if !errors.Is(gone, fault.Of(fault.NotFound)) {
		t.Errorf("changed after it went: %v", gone)
	}
}

func checkHookParked(_ *testing.T, h hooksTest) {
	h.endpoints("a", "b")
	for seq := range int64(6) {
		d := hookSample("a", seq+1)
		d.ParkedAt = Noon.Add(time.Duration(seq) * time.Minute)
		other := hookSample("b", seq+1)
		other.ParkedAt = Noon
		h.insert(d, other)
	}
	var old, many int64
	h.write(func(ctx context.Context, tx webhook.Tx) (err error) {
		old, err = tx.TrimParked(ctx, "a", Noon.Add(2*time.Minute), 100)
		return err
	})
	h.write(func(ctx context.Context, tx webhook.Tx) (err error) {
		many, err = tx.TrimParked(ctx, "a", Noon, 3)
		return err
	})
	h.read(func(ctx context.Context, tx webhook.ReadTx) error {
		left, err := tx.ListDeliveries(ctx, "a", true, 9)
		h.same("left", []int64{4, 5, 6}, seqs(left), err)
		others, err := tx.ListDeliveries(ctx, "b", true, 9)
		h.same("trimmed", []int64{2, 1, 6}, []int64{old, many, int64(len(others))}, err)
		return nil
	})
}

func checkHookRollback(t *testing.T, h hooksTest) {
	boom := errors.New("boom")
	err := h.Write(t.Context(), func(tx webhook.Tx) error {
		return errors.Join(tx.SaveWebhookState(t.Context(), webhook.State{Endpoint: "a"}), boom)
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want the function's own error", err)
	}
	h.read(func(ctx context.Context, tx webhook.ReadTx) error {
		all, err := tx.WebhookStates(ctx)
		h.same("states", 0, len(all), err)
		return nil
	})
}
