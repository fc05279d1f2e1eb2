package e2e

import (
	"testing"

	"cloakroom.dev/tests/harness"
)

// here are the cases that run only where they can start, stop or configure what they test, each with the reason. All others take the
// gateway they are given: the package's own stack, or the one that CLOAKROOM_TEST_URL names (tests/cluster gives them one behind
// an ingress).
var here = map[string]string{
	"TestBucket_FilesThroughTheGateway":                 "configures a stack for each bucket there is; in the cluster all files lie in one",
	"TestCheck_SaysFileLineAndField":                    "runs commands",
	"TestConfig_EditsAreLiveAndBadOnesHarmNothing":      "edits files of resources",
	"TestConfig_ReloadsUnderLoadLoseNoRequest":          "edits files of resources",
	"TestConfig_RouteWithoutAuthIsNeverOpen":            "edits files of resources",
	"TestExport_HoldsWhatEachServiceHolds":              "configures a stack that keeps older versions",
	"TestMainJob_ThreeProcesses":                        "starts the three services side by side; the cluster runs TestMainJob on two of each",
	"TestMetrics_TellWhatAnOperatorLooksAt":             "scrapes the ops port, which nobody reaches through a gateway",
	"TestPlaces_EveryCaseHasOne":                        "reads this folder",
	"TestPrograms_HoldNoMethodsThatNobodyCalls":         "reads the programs it has built",
	"TestReplicas_OneAuthServiceOfTwoMayFallSilent":     "stops processes in their tracks",
	"TestSignInWithARealProvider":                       "configures a provider of identities on this machine",
	"TestStack_BootstrapLetsTheAdminIn":                 "reads what the first start of a stack left in its folder",
	"TestStack_FootprintAndColdStart":                   "measures a process",
	"TestStack_SecondOnTheSameFolderIsRefused":          "starts a second stack on the folder of the first",
	"TestStack_TwoSideBySide":                           "starts two stacks",
	"TestStack_YesterdaysFolderStillHasEverything":      "stops a stack and starts it again",
	"TestThreeProcesses_EndingOnesOwnSessionIsAnswered": "follows revocations on the internal listener",
	"TestThreeProcesses_SilentAuthServiceFailsClosed":   "stops a process in its tracks",
	"TestTraces_OneRequestIsOneTrace":                   "configures a receiver of traces on this machine",
	"TestUploads_KillInTheMiddleAndResume":              "kills a stack; in the cluster the steps kill pods",
	"TestUploads_StopInTheMiddleKeepsTheOffset":         "stops a stack; in the cluster the steps stop pods",
}

// TestPlaces_EveryCaseHasOne: a case is run elsewhere too, or it is said why not.
func TestPlaces_EveryCaseHasOne(t *testing.T) {
	cases := harness.Cases(t, ".")
	for name, anywhere := range cases {
		if reason := here[name]; anywhere == (reason != "") {
			t.Errorf("%s: needs nothing but a URL: %t; why it stays here: %q", name, anywhere, reason)
		}
	}
	for name := range here {
		if _, there := cases[name]; !there {
			t.Errorf("there is no %s", name)
		}
	}
}
