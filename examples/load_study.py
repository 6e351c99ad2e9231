"""Read a study's results as data frames: python examples/load_study.py results/NAME"""

import sys

import medgrid

if len(sys.argv) != 2:
    sys.exit(__doc__)
try:
    study = medgrid.load_study(sys.argv[1])
except medgrid.MedgridError as error:
    sys.exit(str(error))
print(f"{study.manifest.title}: {len(study.manifest.cells)} cells, {study.manifest.replicates} replicates each")

# cells with the highest mean test accuracy, with 95 % intervals
best = study.cells[study.cells["checkpoint"] == "best"]
columns = ["cell", "test_accuracy_mean", "test_accuracy_low", "test_accuracy_high"]
print(best.nlargest(3, "test_accuracy_mean")[columns].to_string(index=False))

# verdicts on the study's claims
for claim, text, verdict in study.claims.drop_duplicates("claim")[["claim", "text", "claim_verdict"]].to_numpy():
    print(f"{verdict:<13} {claim}: {text}")

# test images that most trainings misclassify; needs jobs/ or predictions.npz
try:
    wrong = study.predictions.assign(wrong=lambda table: table["predicted"] != table["label"])
    print(wrong.groupby("path")["wrong"].mean().nlargest(3).to_string())
except medgrid.MedgridError as error:
    print(error)
