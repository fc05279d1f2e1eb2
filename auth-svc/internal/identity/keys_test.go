package identity_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// keyOf is the id of the key that has signed a token.
func keyOf(tokens identity.Tokens) string {
	return identitytest.Caller(tokens.AccessToken.Reveal()).KeyID
}

func published(t testing.TB, w *identitytest.World) map[string]identity.SigningKey {
	t.Helper()
	out := map[string]identity.SigningKey{}
	for _, k := range must[[]identity.SigningKey](t)(w.Service.PublishedKeys(t.Context())) {
		out[k.ID] = k
	}
	return out
}

func states(t testing.TB, w *identitytest.World) map[identity.KeyState]int {
	t.Helper()
	out := map[identity.KeyState]int{}
	for _, k := range published(t, w) {
		out[k.State]++
	}
	return out
}

// upkeep lets a core notice what is due, as its Run would.
func upkeep(t testing.TB, w *identitytest.World) {
	t.Helper()
	if err := w.Service.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSigningKeys_FirstStartHasACurrentAndANextOne(t *testing.T) {
	w := newWorld(t, ordinary)
	if got := states(t, w); got[identity.KeyCurrent] != 1 || got[identity.KeyNext] != 1 || len(got) != 2 {
		t.Errorf("published: %v", got)
	}
	key := keyOf(w.SignUp("ada").Tokens)
	again := identitytest.NewWorld(t, w.Store.Store, w.Clock, ordinary, nil)
	if got := keyOf(again.MustLogin("ada", identitytest.Password).Tokens); got != key {
		t.Errorf("after a restart %s signs, before %s", got, key)
	}
	if len(published(t, again)) != 2 {
		t.Error("a restart made keys")
	}
}

func TestRotate_PublishesBeforeItSignsAndKeepsOldKeysPublished(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.SignUpAdmin("root")
	first := keyOf(root.Tokens)
	must[[]identity.SigningKey](t)(w.Service.RotateSigningKeys(t.Context(), w.Caller(root.Tokens)))
	if got := keyOf(w.MustLogin("root", identitytest.Password).Tokens); got != first {
		t.Error("the next key signs before verifiers can know it")
	}
	w.Clock.Advance(5 * time.Minute)
	upkeep(t, w)
	second := keyOf(w.MustLogin("root", identitytest.Password).Tokens)
	if second == first {
		t.Fatal("the next key does not sign after one lifetime of the key set")
	}
	if k := published(t, w)[first]; k.State != identity.KeyRetiring {
		t.Errorf("the old key is %q", k.State)
	}
	if got := states(t, w); got[identity.KeyNext] != 1 {
		t.Errorf("published: %v", got)
	}
	w.Clock.Advance(7 * 24 * time.Hour) // the longest life of an access token
	upkeep(t, w)
	if _, ok := published(t, w)[first]; !ok {
		t.Error("the old key went while a token of it could live")
	}
	w.Clock.Advance(10 * time.Minute)
	upkeep(t, w)
	if _, ok := published(t, w)[first]; ok {
		t.Error("the old key never goes")
	}
}

func TestRotate_AtOnceWhenTheNextKeyIsRipe(t *testing.T) {
	w := newWorld(t, ordinary)
	w.Clock.Advance(time.Hour)
	root := w.SignUpAdmin("root")
	must[[]identity.SigningKey](t)(w.Service.RotateSigningKeys(t.Context(), w.Caller(root.Tokens)))
	if got := keyOf(w.MustLogin("root", identitytest.Password).Tokens); got == keyOf(root.Tokens) {
		t.Error("a key published for an hour waits")
	}
	_, err := w.Service.RotateSigningKeys(t.Context(), w.Caller(w.SignUp("ada").Tokens))
	wantFault(t, err, fault.Forbidden)
}

// Policies of other algorithms have keys that go on signing; none of them may sign for the one whose key was killed, because verifiers
// of its tokens take no other.
func TestKill_WhereOtherAlgorithmsGoOn(t *testing.T) {
	w := newWorldWith(t, ordinary, func(o *identity.Options) { o.Algorithms = func() []string { return []string{"RS512", "ES256"} } })
	root := w.SignUpAdmin("root")
	killed := keyOf(root.Tokens)
	algorithm := published(t, w)[killed].Algorithm
	must[int64](t)(w.Service.KillSigningKey(t.Context(), w.Caller(root.Tokens), killed))
	next := keyOf(w.MustRefresh(root.Tokens.RefreshToken))
	if got := published(t, w)[next]; next == killed || got.Algorithm != algorithm || got.State != identity.KeyCurrent {
		t.Errorf("after the %s key was killed %+v signs", algorithm, got)
	}
	if got := states(t, w); got[identity.KeyCurrent] != 3 || got[identity.KeyNext] != 3 {
		t.Errorf("published: %v", got)
	}
}

// Between reading the keys and the first look at the log somebody else may kill one; the first look has nothing to compare with.
func TestKill_BetweenTheStartAndTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ordinary)
		root := w.SignUpAdmin("root")
		killed := keyOf(root.Tokens)
		elsewhere := identitytest.NewWorld(t, w.Store.Store, w.Clock, ordinary, nil)
		must[int64](t)(elsewhere.Service.KillSigningKey(t.Context(), elsewhere.Caller(root.Tokens), killed))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Service.Run(ctx) }()
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if keyOf(w.MustRefresh(root.Tokens.RefreshToken)) == killed {
			t.Error("the killed key signs")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestRotate_ByTheCalendar(t *testing.T) {
	w := newWorldWith(t, ordinary, func(o *identity.Options) { o.RotateKeysEvery = 24 * time.Hour })
	first := keyOf(w.SignUp("ada").Tokens)
	w.Clock.Advance(23 * time.Hour)
	upkeep(t, w)
	if keyOf(w.MustLogin("ada", identitytest.Password).Tokens) != first {
		t.Error("rotated too early")
	}
	w.Clock.Advance(time.Hour)
	upkeep(t, w)
	if keyOf(w.MustLogin("ada", identitytest.Password).Tokens) == first {
		t.Error("not rotated")
	}
}

func TestKill_EndsTheKeyEverywhereAndSessionsLiveOn(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.SignUpAdmin("root")
	killed := keyOf(root.Tokens)
	_, err := w.Service.KillSigningKey(t.Context(), w.Caller(root.Tokens), "no such")
	wantFault(t, err, fault.NotFound)
	seq := must[int64](t)(w.Service.KillSigningKey(t.Context(), w.Caller(root.Tokens), killed))
	if r, ok := w.Revoked(identity.KindSigningKey, killed); !ok || r.Seq != seq {
		t.Errorf("the log says %+v", r)
	}
	if _, ok := published(t, w)[killed]; ok {
		t.Error("the key is still published")
	}
	next := w.MustRefresh(root.Tokens.RefreshToken)
	if keyOf(next) == killed {
		t.Error("the killed key signs")
	}
	if got := states(t, w); got[identity.KeyCurrent] != 1 || got[identity.KeyNext] != 1 {
		t.Errorf("published: %v", got)
	}
	for id := range published(t, w) { // even all of them
		must[int64](t)(w.Service.KillSigningKey(t.Context(), w.Caller(next), id))
	}
	w.MustRefresh(next.RefreshToken)
	_, err = w.Service.KillSigningKey(t.Context(), w.Caller(w.SignUp("ada").Tokens), killed)
	wantFault(t, err, fault.Forbidden)
}

func TestAlgorithm_ChangePublishesBeforeItSigns(t *testing.T) {
	w := newWorld(t, ordinary)
	w.SignUp("ada")
	sign := func() string {
		return published(t, w)[keyOf(w.MustLogin("ada", identitytest.Password).Tokens)].Algorithm
	}
	w.Policy.Store(&identity.Policy{Algorithm: "RS256"})
	upkeep(t, w)
	if got := sign(); got != "EdDSA" {
		t.Errorf("%s signs at once", got)
	}
	w.Clock.Advance(5 * time.Minute)
	upkeep(t, w)
	if got := sign(); got != "RS256" {
		t.Errorf("%s still signs", got)
	}
	if got := states(t, w); got[identity.KeyCurrent] != 1 || got[identity.KeyNext] != 1 || got[identity.KeyRetiring] != 1 {
		t.Errorf("published: %v", got)
	}
	w.Policy.Store(&identity.Policy{Algorithm: "ES256"})
	upkeep(t, w)
	w.Policy.Store(&identity.Policy{Algorithm: "RS256"}) // changed one's mind
	upkeep(t, w)
	w.Clock.Advance(5 * time.Minute)
	upkeep(t, w)
	if got := sign(); got != "RS256" {
		t.Errorf("%s signs", got)
	}
}

func TestReady_NeedsKeys(t *testing.T) {
	clock := identitytest.NewClock()
	s := must[*identity.Service](t)(identity.New(identitytest.Memory(clock.Now), &identitytest.Signer{}, &identitytest.Hasher{}, identity.Options{
		NewID: identitytest.NewIDs(), MAC: identitytest.MAC{}, Policy: func() identity.Policy { return ordinary },
	}))
	wantFault(t, s.Ready(t.Context()), fault.Unavailable)
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNew_RefusesWhatCantWork(t *testing.T) {
	store, signer, hasher := identitytest.Memory(time.Now), &identitytest.Signer{}, &identitytest.Hasher{}
	whole := identity.Options{NewID: identitytest.NewIDs(), MAC: identitytest.MAC{}, Policy: func() identity.Policy { return ordinary }}
	for name, bend := range map[string]func(*identity.Options){
		"no ids": func(o *identity.Options) { o.NewID = nil }, "no policy": func(o *identity.Options) { o.Policy = nil },
		"no MAC": func(o *identity.Options) { o.MAC = nil }, "strange ids": func(o *identity.Options) { o.NewID = func() string { return "1" } },
	} {
		opts := whole
		bend(&opts)
		if _, err := identity.New(store, signer, hasher, opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := identity.New(nil, signer, hasher, whole); err == nil {
		t.Error("no store: accepted")
	}
}
