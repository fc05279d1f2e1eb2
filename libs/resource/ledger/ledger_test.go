package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/manifest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// book is a ledger under test, with a clock of its own.
type book struct {
	*Ledger
	t     *testing.T
	clock time.Time
}

var schemas = admit.New()

func newBook(t *testing.T) *book {
	b := &book{t: t, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.Ledger = New(schemas, func() time.Time { return b.clock })
	return b
}

// look applies files, given as name and text in turn, and reports whether the snapshot changed.
func (b *book) look(files ...string) bool {
	b.t.Helper()
	b.clock = b.clock.Add(time.Minute)
	return b.Apply(b.t.Context(), lookAt(files...))
}

func lookAt(files ...string) Look {
	var l Look
	for i := 0; i < len(files); i += 2 {
		l.Documents = append(l.Documents, manifest.Parse(files[i], []byte(files[i+1]))...)
	}
	return l
}

// state is `Accepted/Programmed/Ready generation serving` of one object, or "gone".
func (b *book) state(id string) string {
	for _, r := range b.Records() {
		if r.Kind+"/"+r.Name != id {
			continue
		}
		var parts []string
		for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionProgrammed, v1alpha1.ConditionReady} {
			part := "-"
			if c := find(r, kind); c != nil {
				part = c.Reason
			}
			parts = append(parts, part)
		}
		return fmt.Sprintf("%s %d %d", strings.Join(parts, "/"), r.Generation, r.Serving)
	}
	return "gone"
}

func find(r resource.Record, kind string) *metav1.Condition {
	for _, c := range r.Conditions {
		if c.Type == kind {
			return &c
		}
	}
	return nil
}

func (b *book) message(id string) string {
	for _, r := range b.Records() {
		if r.Kind+"/"+r.Name == id {
			return find(r, v1alpha1.ConditionReady).Message
		}
	}
	return ""
}

func (b *book) want(id, state string) {
	b.t.Helper()
	if got := b.state(id); got != state {
		b.t.Errorf("%s is %s, want %s (%s)", id, got, state, b.message(id))
	}
}

func (b *book) quota(name, want string) {
	b.t.Helper()
	p, ok := resource.Named[*v1alpha1.StoragePolicy](b.Snapshot(), name)
	got := ""
	if ok {
		got = string(p.Spec.Quota)
	}
	if got != want {
		b.t.Errorf("%s is served with quota %q, want %q", name, got, want)
	}
}

func policy(name, quota string) string {
	return "apiVersion: cloakroom.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: " + name + "}\nspec: {quota: " + quota + "}\n"
}

func auth(spec string) string {
	return "apiVersion: cloakroom.dev/v1alpha1\nkind: AuthConfig\nmetadata: {name: auth}\nspec: {" + spec + "}\n"
}

const id = "StoragePolicy/p"

func TestApply_LastGoodIsKept(t *testing.T) {
	b := newBook(t)
	if !b.look("f.yaml", policy("p", "10Gi")) {
		t.Error("first object changes nothing")
	}
	b.want(id, "Accepted/Pending/Pending 1 1")

	if b.look("f.yaml", policy("p", "lots")) {
		t.Error("a refused change makes another snapshot")
	}
	b.want(id, "Invalid/-/Invalid 2 1")
	b.quota("p", "10Gi")
	if got, want := b.message(id), "serving generation 1; f.yaml:4: spec.quota: Invalid value"; !strings.HasPrefix(got, want) {
		t.Errorf("message %q, want %q…", got, want)
	}

	if !b.look("f.yaml", policy("p", "20Gi")) {
		t.Error("an accepted change makes no other snapshot")
	}
	b.want(id, "Accepted/Pending/Pending 3 3")
	b.quota("p", "20Gi")
}

func TestApply_OneBadObjectHarmsNoOther(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi")+"---\n"+policy("q", "lots")+"---\n"+policy("r", "10Gi"))
	b.want(id, "Accepted/Pending/Pending 1 1")
	b.want("StoragePolicy/q", "Invalid/-/Invalid 1 0")
	b.want("StoragePolicy/r", "Accepted/Pending/Pending 1 1")
	if got := resource.Broken[*v1alpha1.StoragePolicy](b.Snapshot()); len(got) != 1 || got[0].Name != "q" {
		t.Errorf("broken objects %v, want q", got)
	}
	if accepted, rejected := b.Counts(); accepted != 2 || rejected != 1 {
		t.Errorf("%d accepted, %d rejected, want 2 and 1", accepted, rejected)
	}
}

func TestApply_GoingBackGoesBackToItsGeneration(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi"))
	p, _ := resource.Named[*v1alpha1.StoragePolicy](b.Snapshot(), "p")
	b.Report([]resource.Status{resource.Programmed(p)})
	b.want(id, "Accepted/Programmed/Ready 1 1")
	b.look("f.yaml", policy("p", "lots"))
	if b.look("f.yaml", policy("p", "10Gi")) {
		t.Error("going back makes another snapshot")
	}
	b.want(id, "Accepted/Programmed/Ready 1 1")
	b.look("f.yaml", policy("p", "30Gi"))
	b.want(id, "Accepted/Pending/Pending 3 3")
}

func TestApply_RemovedObjectIsGone(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi")+"---\n"+policy("q", "10Gi"))
	if !b.Removes(lookAt("f.yaml", policy("q", "10Gi"))) {
		t.Error("Removes doesn't see it coming")
	}
	if !b.look("f.yaml", policy("q", "10Gi")) {
		t.Error("removal makes no other snapshot")
	}
	b.want(id, "gone")
	b.quota("p", "")
}

func TestApply_MovedObjectIsTheSame(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi"))
	if b.look("g.yaml", "# moved\n"+policy("p", "10Gi")) {
		t.Error("another file makes another snapshot")
	}
	if r := b.Records()[0]; r.File != "g.yaml" || r.Line != 2 || r.Generation != 1 {
		t.Errorf("record %+v, want it at g.yaml:2 in generation 1", r)
	}
}

func TestApply_UnreadableFileKeepsItsObjects(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi"), "g.yaml", policy("q", "10Gi"))
	half := policy("q", "20Gi")
	if b.look("f.yaml", "apiVersion: cloakroom.dev/v1alpha1\nkind: Stor", "g.yaml", half) != true {
		t.Error("the other file's change is lost")
	}
	b.want(id, "Invalid/-/Invalid 1 1")
	b.want("StoragePolicy/q", "Accepted/Pending/Pending 2 2")
	b.quota("p", "10Gi")
	if got := b.message(id); !strings.Contains(got, "its file holds something that can't be read") {
		t.Errorf("message %q", got)
	}
	b.look("f.yaml", policy("p", "10Gi"), "g.yaml", half)
	b.want(id, "Accepted/Pending/Pending 1 1")

	l := lookAt("g.yaml", half)
	l.Unreadable = []resource.Finding{{File: "f.yaml", Message: "larger than 1048576 bytes"}}
	b.Apply(t.Context(), l)
	b.quota("p", "10Gi")
}

func TestApply_DuplicatesAreAllRefused(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi"))
	if b.look("f.yaml", policy("p", "20Gi"), "g.yaml", policy("p", "30Gi")) {
		t.Error("one of two twins was taken")
	}
	b.want(id, "Conflicted/-/Conflicted 2 1")
	b.quota("p", "10Gi")
	var told []string
	for _, f := range b.Findings() {
		told = append(told, f.String())
	}
	want := "f.yaml:3: StoragePolicy/p: metadata.name: the same kind and name stands in g.yaml:1; none of them is taken\n" +
		"g.yaml:3: StoragePolicy/p: metadata.name: the same kind and name stands in f.yaml:1; none of them is taken"
	if got := strings.Join(told, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.look("g.yaml", policy("p", "30Gi"))
	b.quota("p", "30Gi")
}

func TestApply_DuplicatesNeverAcceptedAreAllBroken(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "20Gi")+"---\n"+policy("p", "30Gi"))
	b.want(id, "Conflicted/-/Conflicted 1 0")
	if got := resource.Broken[*v1alpha1.StoragePolicy](b.Snapshot()); len(got) != 2 {
		t.Errorf("%d broken objects, want both", len(got))
	}
}

func TestApply_EmptyLookKeepsEverything(t *testing.T) {
	b := newBook(t)
	if b.look(); !b.Empty() {
		t.Error("an empty look isn't noticed")
	}
	b.look("f.yaml", policy("p", "10Gi"))
	if b.look() || !b.Empty() {
		t.Error("an empty look changes the snapshot or isn't noticed")
	}
	b.quota("p", "10Gi")
	b.want(id, "Accepted/Pending/Pending 1 1")
	if b.look("f.yaml", policy("p", "10Gi")); b.Empty() {
		t.Error("still empty")
	}
}

func TestApply_BootKindWaitsForRestart(t *testing.T) {
	b := newBook(t)
	b.look("a.yaml", auth("maxNothing: 1"), "f.yaml", policy("p", "10Gi"))
	b.want("AuthConfig/auth", "Invalid/-/Invalid 1 0")

	b = newBook(t)
	b.look("a.yaml", auth(""), "f.yaml", policy("p", "10Gi"))
	boot, err := resource.One[*v1alpha1.AuthConfig](b.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	b.Report([]resource.Status{resource.Programmed(boot)})
	if b.look("a.yaml", auth("audiences: [other]"), "f.yaml", policy("p", "10Gi")) {
		t.Error("a boot kind's change makes another snapshot")
	}
	b.want("AuthConfig/auth", "Accepted/RestartRequired/RestartRequired 2 1")
	if got := b.message("AuthConfig/auth"); got != "the change takes effect at the next start; serving generation 1" {
		t.Error(got)
	}
	if w := b.Waiting(); len(w) != 1 || w[0].Name != "auth" || w[0].Generation != 2 {
		t.Errorf("waiting: %+v", w)
	}
	b.look("a.yaml", auth(""), "f.yaml", policy("p", "10Gi"))
	b.want("AuthConfig/auth", "Accepted/Programmed/Ready 1 1")
	if w := b.Waiting(); len(w) != 0 {
		t.Errorf("taken back, and waiting: %+v", w)
	}

	b.look("f.yaml", policy("p", "10Gi"))
	b.want("AuthConfig/auth", "Accepted/RestartRequired/RestartRequired 1 1")
	if _, err := resource.One[*v1alpha1.AuthConfig](b.Snapshot()); err != nil {
		t.Error("a boot kind left the snapshot while the process runs on it:", err)
	}
}

func TestApply_TransitionRulesKnowTheServedVersion(t *testing.T) {
	b := newBook(t)
	b.look("a.yaml", auth("issuer: https://a.example"))
	b.look("a.yaml", auth("issuer: https://b.example"))
	b.want("AuthConfig/auth", "Invalid/-/Invalid 2 1")
	if got := b.message("AuthConfig/auth"); !strings.Contains(got, "the issuer can't change") {
		t.Error(got)
	}
}

func TestApply_LabelMakesAGenerationButNoDigest(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi"))
	before := b.Snapshot()
	if !b.look("f.yaml", strings.Replace(policy("p", "10Gi"), "{name: p}", "{name: p, labels: {a: b}}", 1)) {
		t.Error("nobody would report on the new generation")
	}
	b.want(id, "Accepted/Pending/Pending 2 2")
	if b.Snapshot().Digest != before.Digest {
		t.Error("a label makes another digest")
	}
}

func TestReport(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi"))
	p, _ := resource.Named[*v1alpha1.StoragePolicy](b.Snapshot(), "p")
	for _, c := range []struct {
		status resource.Status
		state  string
		news   bool
	}{
		{resource.UnresolvedRefs(p, "no x"), "Accepted/RefNotFound/RefNotFound 1 1", true},
		{resource.NotProgrammed(p, v1alpha1.ReasonOverridden, "another is used"), "Accepted/Overridden/Overridden 1 1", true},
		{resource.Programmed(p), "Accepted/Programmed/Ready 1 1", true},
		{resource.Programmed(p), "Accepted/Programmed/Ready 1 1", false},
		{resource.Status{Kind: "StoragePolicy", Name: "q"}, "Accepted/Programmed/Ready 1 1", false},
		{resource.Status{Kind: "StoragePolicy", Name: "p", Generation: 9}, "Accepted/Programmed/Ready 1 1", false},
	} {
		if news := b.Report([]resource.Status{c.status}); news != c.news {
			t.Errorf("report %+v is news: %v, want %v", c.status, news, c.news)
		}
		b.want(id, c.state)
	}
}

func TestConditions_TimeMovesWithStatusOnly(t *testing.T) {
	b := newBook(t)
	b.look("f.yaml", policy("p", "10Gi"))
	first := find(b.Records()[0], v1alpha1.ConditionAccepted).LastTransitionTime
	b.look("f.yaml", policy("p", "20Gi"))
	c := find(b.Records()[0], v1alpha1.ConditionAccepted)
	if !c.LastTransitionTime.Equal(&first) || c.ObservedGeneration != 2 {
		t.Errorf("still accepted, but %v generation %d, want %v generation 2", c.LastTransitionTime, c.ObservedGeneration, first)
	}
	b.look("f.yaml", policy("p", "lots"))
	if c := find(b.Records()[0], v1alpha1.ConditionAccepted); c.LastTransitionTime.Equal(&first) {
		t.Error("refused now, but the time stood still")
	}
}

func TestConditions_LongMessagesAreCut(t *testing.T) {
	b := newBook(t)
	bad := strings.Repeat("- {name: ä, limit: 1, windo: 1s}\n    ", 400)
	b.look("f.yaml", "apiVersion: cloakroom.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {name: p}\nspec:\n  rules:\n    "+bad)
	m := find(b.Records()[0], v1alpha1.ConditionAccepted).Message
	if len(m) > maxMessage || !strings.HasSuffix(m, "...") {
		t.Errorf("message of %d bytes ends in %q", len(m), m[max(0, len(m)-20):])
	}
}

// FuzzApply holds that whatever stands in one file, the objects of another stay in force.
func FuzzApply(f *testing.F) {
	for _, seed := range []string{
		"", "a: [", policy("q", "lots"), policy("p", "20Gi"), auth("store: {}"), "kind: Route", "apiVersion: cloakroom.dev/v1alpha1\nkind: Route\nmetadata: {name: r}\nspec: {rules: 7}\n",
		"apiVersion: cloakroom.dev/v1alpha1\nkind: Route\nmetadata: {name: r, labels: 3}\nspec: {rules: [{matches: [{path: {type: RegularExpression, value: '('}}], auth: {}}]}\n",
		"apiVersion: cloakroom.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {name: r}\nspec: {rules: [null, {limit: 1e9}]}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := newBook(t)
		b.look("f.yaml", policy("p", "10Gi"))
		b.look("f.yaml", policy("p", "10Gi"), "g.yaml", text)
		b.quota("p", "10Gi")
		b.look("g.yaml", text, "f.yaml", policy("p", "lots"))
		b.quota("p", "10Gi")
		b.look("f.yaml", policy("p", "10Gi"))
		b.want(id, "Accepted/Pending/Pending 1 1")
	})
}
