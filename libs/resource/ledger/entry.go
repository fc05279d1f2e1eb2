package ledger

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/manifest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// entry is what is known of one object.
type entry struct {
	kind, name string
	file       string
	line       int

	// What was seen last.
	generation int64 // of the content seen last
	last       int64 // the highest generation given out
	told       int64 // what the source calls that generation; 0 when it has no count of its own
	hash       [sha256.Size]byte
	refusal    string // reason of Accepted=False; empty when accepted
	findings   []resource.Finding
	broken     []resource.Object // as far as it could be read, while nothing was ever accepted
	pending    bool              // a boot kind's change that waits for a restart
	missing    bool              // a boot kind that is gone from the source

	// What is in force.
	object     resource.Object
	content    map[string]any
	serving    int64
	servedTold int64
	servedHash [sha256.Size]byte

	reported   resource.Status
	conditions []metav1.Condition
}

// renew takes note of the content and reports whether it has to be judged. Going back to the content in force goes back
// to its generation, so that what was reported about it holds again.
func (e *entry) renew(hash [sha256.Size]byte, told int64) bool {
	e.told = told
	if e.object != nil && hash == e.servedHash {
		e.servedTold = told // the same words under a later number
	}
	if e.last > 0 && hash == e.hash && e.refusal != reasonObscured {
		return false
	}
	e.hash = hash
	if e.object != nil && hash == e.servedHash {
		e.generation, e.refusal, e.findings, e.pending = e.serving, "", nil, false
		return false
	}
	e.last++
	e.generation = e.last
	return true
}

// decide draws the consequence of the verdicts.
func (e *entry) decide(documents []*manifest.Document, verdicts []admit.Verdict, started bool) {
	e.refusal, e.findings, e.broken, e.pending = "", nil, nil, false
	for i, d := range documents {
		if d.Problem != nil {
			e.findings = append(e.findings, *d.Problem)
		}
		for _, p := range verdicts[i].Problems {
			e.findings = append(e.findings, d.Find(p.Field, p.Message))
		}
		if o := verdicts[i].Object; o != nil && e.object == nil {
			e.broken = append(e.broken, o)
		}
	}
	switch {
	case len(documents) > 1:
		e.refusal = v1alpha1.ReasonConflicted
		e.findings = append(duplicates(documents), e.findings...)
	case len(e.findings) > 0:
		e.refusal = v1alpha1.ReasonInvalid
	case v1alpha1.Boot(e.kind) && started:
		e.broken, e.pending = nil, true
	default:
		e.broken = nil
		e.object, e.content = verdicts[0].Object, verdicts[0].Content
		e.object.SetGeneration(e.generation)
		e.serving, e.servedTold, e.servedHash = e.generation, e.told, e.hash
	}
}

func duplicates(documents []*manifest.Document) []resource.Finding {
	var all []resource.Finding
	for i, d := range documents {
		other := documents[0]
		if i == 0 {
			other = documents[1]
		}
		all = append(all, d.Find("metadata.name", fmt.Sprintf("the same kind and name stands in %s:%d; none of them is taken", other.File, other.Line)))
	}
	return all
}

// relocate gives the findings of unchanged content their present lines: text above may have moved them.
func (e *entry) relocate(documents []*manifest.Document) {
	if len(documents) != 1 || documents[0].Problem != nil {
		return
	}
	for i, f := range e.findings {
		e.findings[i] = documents[0].Find(f.Field, f.Message)
	}
}

// observed is the generation of the content seen last, in the source's own count where it keeps one: people compare it
// with metadata.generation.
func (e *entry) observed() int64 { return cmp.Or(e.told, e.generation) }

// inService is the generation in force, counted the same way; 0 when there is none.
func (e *entry) inService() int64 { return cmp.Or(e.servedTold, e.serving) }

// reasonObscured marks an object whose file can't be read; it is told as Invalid.
const reasonObscured = "obscured"

func (e *entry) obscured(stray resource.Finding) {
	stray.Kind, stray.Name = e.kind, e.name
	stray.Message = "its file holds something that can't be read: " + stray.Message
	e.refusal, e.findings = reasonObscured, []resource.Finding{stray}
}

// settle works out the conditions from everything else.
func (e *entry) settle(now time.Time) {
	accepted := metav1.Condition{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted}
	var refs, programmed *metav1.Condition
	switch {
	case e.refusal != "":
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, e.refusal, e.story()
		if e.refusal == reasonObscured {
			accepted.Reason = v1alpha1.ReasonInvalid
		}
	case e.pending:
		programmed = restart("the change takes effect at the next start" + e.inForce())
	case e.missing:
		programmed = restart("the object is gone from the configuration and stays in force until the next start")
	default:
		refs, programmed = e.report()
	}
	ready := summary(accepted, programmed)
	next := []metav1.Condition{accepted}
	for _, c := range []*metav1.Condition{refs, programmed, &ready} {
		if c != nil {
			next = append(next, *c)
		}
	}
	for i := range next {
		next[i].ObservedGeneration = e.observed()
		next[i].Message = clip(next[i].Message)
		next[i].LastTransitionTime = e.since(next[i], now)
	}
	e.conditions = next
}

// report returns what the service said about the content in force.
func (e *entry) report() (refs, programmed *metav1.Condition) {
	programmed = &metav1.Condition{Type: v1alpha1.ConditionProgrammed, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonPending, Message: "no service has reported on it yet"}
	if e.reported.Generation != e.generation {
		return nil, programmed
	}
	for _, c := range e.reported.Conditions {
		switch c.Type {
		case v1alpha1.ConditionResolvedRefs:
			refs = &c
		case v1alpha1.ConditionProgrammed:
			programmed = &c
		}
	}
	return refs, programmed
}

func restart(message string) *metav1.Condition {
	return &metav1.Condition{Type: v1alpha1.ConditionProgrammed, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRestartRequired, Message: message}
}

// summary is Ready: whether the content seen last is what serves.
func summary(accepted metav1.Condition, programmed *metav1.Condition) metav1.Condition {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	for _, c := range []*metav1.Condition{&accepted, programmed} {
		if c != nil && c.Status != metav1.ConditionTrue {
			ready.Status, ready.Reason, ready.Message = c.Status, c.Reason, c.Message
			break
		}
	}
	return ready
}

// story is the message of Accepted=False: what stays in force, then what is wrong.
func (e *entry) story() string {
	s := "nothing of it is served"
	if e.object != nil {
		s = fmt.Sprintf("serving generation %d", e.inService())
	}
	for _, f := range e.findings {
		f.Kind, f.Name = "", ""
		s += "; " + f.String()
	}
	return s
}

func (e *entry) inForce() string {
	if e.object == nil {
		return ""
	}
	return fmt.Sprintf("; serving generation %d", e.inService())
}

// since keeps the time of a condition whose status did not change.
func (e *entry) since(c metav1.Condition, now time.Time) metav1.Time {
	i := slices.IndexFunc(e.conditions, func(old metav1.Condition) bool { return old.Type == c.Type })
	if i >= 0 && e.conditions[i].Status == c.Status {
		return e.conditions[i].LastTransitionTime
	}
	return metav1.NewTime(now.UTC().Truncate(time.Second))
}

// maxMessage is metav1.Condition's own limit on a message.
const maxMessage = 32768

func clip(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage-3], "") + "..."
}
