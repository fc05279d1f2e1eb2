package crdsource

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// write keeps the status of every object as it should be, until ctx ends: this replica leads. What fails is tried again at the
// next look.
func (s *Source) write(ctx context.Context) {
	mine := map[string]written{}
	again := time.NewTicker(s.opts.Resync)
	defer again.Stop()
	for {
		s.writeAll(ctx, mine)
		select {
		case <-ctx.Done():
			return
		case <-s.reports:
		case <-again.C:
		}
	}
}

// written is a status that our own cache of the cluster may not show yet.
type written struct {
	over       string // the version it was written over
	conditions []metav1.Condition
}

func (s *Source) writeAll(ctx context.Context, mine map[string]written) {
	s.mu.Lock()
	records := s.ledger.Records()
	s.mu.Unlock()
	var failed error
	for _, r := range records {
		if err := s.writeOne(ctx, r, mine); err != nil && ctx.Err() == nil {
			failed = err
		}
	}
	switch {
	case ctx.Err() != nil:
	case failed == nil:
		s.unwritable("")
	case apierrors.IsForbidden(failed):
		s.unwritable(fmt.Sprintf("status is not written: no right to patch the status of resources in namespace %s (%v)", s.opts.Namespace, failed))
	default:
		s.unwritable("status is not written: " + failed.Error())
	}
}

// writeOne sends the conditions of one object, unless the cluster has them already.
func (s *Source) writeOne(ctx context.Context, r resource.Record, mine map[string]written) error {
	i := slices.IndexFunc(s.kinds, func(k *kind) bool { return k.name == r.Kind })
	if i < 0 {
		return nil
	}
	object, id := s.kinds[i].object(r.Name), r.Kind+"/"+r.Name
	if object == nil || object.GetDeletionTimestamp() != nil {
		delete(mine, id)
		return nil
	}
	there := conditionsOf(object)
	if w, ok := mine[id]; ok && w.over == object.GetResourceVersion() {
		there = w.conditions
	}
	byType := func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) }
	want := keepTimes(partly(r.Conditions, s.peers.standingNow()), there)
	slices.SortFunc(want, byType)
	slices.SortFunc(there, byType) // the server keeps a list of maps in an order of its own
	if slices.Equal(want, there) {
		s.metrics.writes.WithLabelValues("same").Inc()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := s.kinds[i].objects.ApplyStatus(ctx, r.Name, s.status(r, want), metav1.ApplyOptions{FieldManager: s.manager(), Force: true})
	if apierrors.IsNotFound(err) {
		return nil // deleted since
	}
	if err != nil {
		s.metrics.writes.WithLabelValues("error").Inc()
		return err
	}
	s.metrics.writes.WithLabelValues("written").Inc()
	mine[id] = written{object.GetResourceVersion(), want}
	return nil
}

// partly says, while replicas differ, how many serve what the leader serves. An object that is in force stays so.
func partly(conditions []metav1.Condition, standing string) []metav1.Condition {
	if standing == "" {
		return conditions
	}
	said := slices.Clone(conditions)
	for i, c := range said {
		if c.Type == v1alpha1.ConditionProgrammed && c.Status == metav1.ConditionTrue {
			said[i].Reason, said[i].Message = v1alpha1.ReasonPartiallyProgrammed, standing
		}
	}
	return said
}

// status is the object with nothing but what is ours.
func (s *Source) status(r resource.Record, conditions []metav1.Condition) *unstructured.Unstructured {
	list := make([]any, 0, len(conditions))
	for _, c := range conditions {
		list = append(list, map[string]any{
			"type": c.Type, "status": string(c.Status), "reason": c.Reason, "message": c.Message,
			"observedGeneration": c.ObservedGeneration, "lastTransitionTime": c.LastTransitionTime.UTC().Format(time.RFC3339),
		})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": r.Kind,
		"metadata": map[string]any{"name": r.Name, "namespace": s.opts.Namespace},
		"status":   map[string]any{"conditions": list},
	}}
}

func conditionsOf(o *unstructured.Unstructured) []metav1.Condition {
	var status v1alpha1.Status
	raw, err := json.Marshal(o.Object["status"])
	if err != nil || json.Unmarshal(raw, &status) != nil {
		return nil // whatever it is, it isn't ours
	}
	return status.Conditions
}

// keepTimes leaves a condition's time as the cluster has it while its status is the same: a new leader changes nothing.
func keepTimes(want, there []metav1.Condition) []metav1.Condition {
	kept := slices.Clone(want)
	for i, c := range kept {
		j := slices.IndexFunc(there, func(old metav1.Condition) bool { return old.Type == c.Type && old.Status == c.Status })
		if j >= 0 {
			kept[i].LastTransitionTime = there[j].LastTransitionTime
		}
	}
	return kept
}
