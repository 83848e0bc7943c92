package model

// Intent is what an alert's act is for, in the vocabulary of Microsoft
// Defender's alerts (REST API version 2022-01-01): 16 values.
type Intent string

// The intents. Probing and Exploitation are older names of PreAttack and
// InitialAccess that products still emit.
const (
	IntentUnknown             Intent = "Unknown"
	IntentPreAttack           Intent = "PreAttack"
	IntentInitialAccess       Intent = "InitialAccess"
	IntentPersistence         Intent = "Persistence"
	IntentPrivilegeEscalation Intent = "PrivilegeEscalation"
	IntentDefenseEvasion      Intent = "DefenseEvasion"
	IntentCredentialAccess    Intent = "CredentialAccess"
	IntentDiscovery           Intent = "Discovery"
	IntentLateralMovement     Intent = "LateralMovement"
	IntentExecution           Intent = "Execution"
	IntentCollection          Intent = "Collection"
	IntentExfiltration        Intent = "Exfiltration"
	IntentCommandAndControl   Intent = "CommandAndControl"
	IntentImpact              Intent = "Impact"
	IntentProbing             Intent = "Probing"
	IntentExploitation        Intent = "Exploitation"
)

// Stage is a stage of the 8-stage kill chain.
type Stage string

// The stages, in the order of the chain.
const (
	StageReconnaissance      Stage = "reconnaissance"
	StageIntrusion           Stage = "intrusion"
	StageExploitation        Stage = "exploitation"
	StagePrivilegeEscalation Stage = "privilege_escalation"
	StageLateralMovement     Stage = "lateral_movement"
	StageObfuscation         Stage = "obfuscation"
	StageDenialOfService     Stage = "denial_of_service"
	StageExfiltration        Stage = "exfiltration"
)

// Stages lists the stages in the order of the chain.
var Stages = []Stage{StageReconnaissance, StageIntrusion, StageExploitation, StagePrivilegeEscalation,
	StageLateralMovement, StageObfuscation, StageDenialOfService, StageExfiltration}

// CloudStep is a step of the 4-step cloud kill chain.
type CloudStep string

// The cloud steps, in order.
const (
	StepExposure        CloudStep = "exposure"
	StepAccess          CloudStep = "access"
	StepLateralMovement CloudStep = "lateral_movement"
	StepActions         CloudStep = "actions"
)

// CloudSteps lists the cloud steps in order.
var CloudSteps = []CloudStep{StepExposure, StepAccess, StepLateralMovement, StepActions}

// AlertIntent is the intent of one alert with its ground.
type AlertIntent struct {
	Primary    Intent   `json:"primary"`
	All        []Intent `json:"all"`
	Confidence float64  `json:"confidence"` // 0..1
	Why        string   `json:"why"`
}

// Severity is how bad an alert or incident is.
type Severity string

// The severities, mildest first.
const (
	Informational Severity = "informational"
	Low           Severity = "low"
	Medium        Severity = "medium"
	High          Severity = "high"
	Critical      Severity = "critical"
)

// Rank orders severities: 0 informational to 4 critical, -1 for anything else.
func (s Severity) Rank() int {
	for i, x := range []Severity{Informational, Low, Medium, High, Critical} {
		if s == x {
			return i
		}
	}
	return -1
}
