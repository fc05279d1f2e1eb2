package admit

import (
	"bytes"
	"log/slog"
	"math"
	"os"
	"testing"

	"cloakroom.dev/libs/resource/admit/admittest"

	"github.com/google/go-cmp/cmp"
)

// The tests' own program is one that can be started as a helper.
func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

func newApart(t *testing.T) *Admitter {
	t.Helper()
	a := Apart(slog.New(slog.DiscardHandler))
	if a.apart == nil {
		t.Fatal("this program can't be started as a helper")
	}
	t.Cleanup(a.Release)
	return a
}

// same puts an object to both and returns the verdict.
func same(t *testing.T, a *Admitter, kind string, raw, old map[string]any) Verdict {
	t.Helper()
	here, err1 := New().Admit(t.Context(), kind, raw, old)
	there, err2 := a.Admit(t.Context(), kind, raw, old)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if diff := cmp.Diff(here, there); diff != "" {
		t.Errorf("%s: the verdict here and the helper's: %s", kind, diff)
	}
	return there
}

func TestApart_JudgesLikeTheProcessItself(t *testing.T) {
	a := newApart(t)
	for _, spec := range []string{"{maxSessions: 1}", "{maxSessions: 1.0}", "{maxSessions: 1.5}", "{maxSessions: 1e3}", "{unknown: 9007199254740993}", "{accessTTL: null}", "[]", "{}"} {
		same(t, a, "SessionPolicy", object(t, "SessionPolicy", "a", spec), nil)
	}
	broken := object(t, "StoragePolicy", "A_b", "{quotta: 1Gi}")
	if v := same(t, a, "StoragePolicy", broken, nil); len(v.Problems) != 2 {
		t.Errorf("%v", v.Problems)
	}
	for _, rule := range admittest.Rules[:8] {
		var old map[string]any
		if rule.Old != "" {
			old = same(t, a, rule.Kind, object(t, rule.Kind, "a", rule.Old), nil).Content
		}
		same(t, a, rule.Kind, object(t, rule.Kind, "a", rule.Refuse), old)
		same(t, a, rule.Kind, object(t, rule.Kind, "a", rule.Accept), old)
	}
	if _, err := a.Admit(t.Context(), "Secret", nil, nil); err == nil {
		t.Error("a kind that doesn't exist is judged")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.kinds) != 0 || a.apart.failed {
		t.Errorf("%d kinds were compiled in this process", len(a.kinds))
	}
}

func TestApart_ReleaseEndsTheHelper(t *testing.T) {
	a := newApart(t)
	a.Warm()
	if a.apart.helper != nil {
		t.Error("nothing to judge, and a helper")
	}
	a.Warm("StoragePolicy")
	first := a.apart.helper
	if first == nil {
		t.Fatal("no helper")
	}
	if first.Cmd.Env == nil || len(first.Cmd.Env) != 0 {
		t.Errorf("the helper's environment is %v", first.Cmd.Env)
	}
	a.Release()
	a.Release()
	if first.Cmd.ProcessState == nil || !first.Cmd.ProcessState.Success() {
		t.Errorf("the helper ended with %v", first.Cmd.ProcessState)
	}
	same(t, a, "StoragePolicy", object(t, "StoragePolicy", "a", "{}"), nil)
	if a.apart.helper == nil {
		t.Error("after Release nobody helps")
	}
}

func TestApart_WithoutItsHelperTheWorkIsDoneHere(t *testing.T) {
	a := newApart(t)
	a.Warm("StoragePolicy")
	if err := a.apart.helper.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	a.apart.log = slog.New(slog.NewTextHandler(&said, nil))
	for range 2 {
		same(t, a, "StoragePolicy", object(t, "StoragePolicy", "a", "{quota: 1}"), nil)
	}
	if n := bytes.Count(said.Bytes(), []byte("judged in this process")); n != 1 {
		t.Errorf("it is said %d times: %s", n, said.String())
	}
	// What JSON can't say goes to nobody.
	strange := object(t, "SessionPolicy", "a", "{}")
	strange["spec"] = map[string]any{"maxSessions": math.Inf(1)}
	if _, err := newApart(t).Admit(t.Context(), "SessionPolicy", strange, nil); err != nil {
		t.Error(err)
	}
}

func TestApart_WhatFailsInTheHelperIsTold(t *testing.T) {
	if o := New().do(job{Kind: "Secret"}); o.Failed == "" {
		t.Errorf("got %+v for a kind that is none", o)
	}
}
