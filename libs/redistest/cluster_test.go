package redistest

import "testing"

// Whoever has a cluster may ask any of its nodes: one that is asked too early refuses, which looks like a limiter that lost its store.
func TestNewCluster_EveryNodeServes(t *testing.T) {
	c := NewCluster(t)
	for _, node := range c.Nodes() {
		if err := clusterReady(node); err != nil {
			t.Errorf("%s: %v", node, err)
		}
	}
}
