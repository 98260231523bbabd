"""Search learning rate, loss and k with Optuna; trials whose val/top5 falls behind are stopped.

    pip install "topk-lightning[optuna]"
    python examples/tune_with_optuna.py --trials 20
    python examples/tune_with_optuna.py --lightning lightning.pytorch

`Pruning` is all that it takes: a callback of the Lightning that is used, which tells Optuna the value of each epoch.
Optuna's own integration package asks for the class of one Lightning alone.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

try:
    import optuna
except ModuleNotFoundError:
    sys.exit('optuna must be installed to search, got none. Run pip install "topk-lightning[optuna]".')

MONITOR = "val/top5"


def pruning(lightning: Any, trial: optuna.Trial) -> Any:
    """Return a callback that reports each validation to a trial and ends a hopeless one."""

    class Pruning(lightning.Callback):
        def on_validation_end(self, trainer: Any, module: Any) -> None:
            if not trainer.sanity_checking:
                trial.report(float(trainer.callback_metrics[MONITOR]), step=trainer.current_epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned(f"epoch {trainer.current_epoch}")

    return Pruning()


def objective(trial: optuna.Trial, lightning: Any, epochs: int, classes: list[str]) -> float:
    """Train once and return the best val/top5."""
    home = importlib.import_module(
        "topk_lightning.lightning" if lightning.__name__.startswith("lightning") else "topk_lightning"
    )
    data = home.EmojiDataModule(classes=classes, image_size=32)
    loss = None
    if trial.suggest_categorical("loss", ["cross entropy", "smooth top-k SVM"]) == "smooth top-k SVM":
        loss = home.SmoothTopKSVMLoss(k=trial.suggest_int("k", 1, 5))
    rate = trial.suggest_float("lr", 1e-4, 3e-2, log=True)
    model = home.TopKClassifier("small_cnn", class_names=data.class_names, loss=loss, lr=rate, k=[1, 5])
    best = lightning.callbacks.ModelCheckpoint(monitor=MONITOR, mode="max", dirpath=f"tuning/{trial.number}")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=epochs, callbacks=[best, pruning(lightning, trial)], **quiet)
    trainer.fit(model, data)
    return float(best.best_model_score)


def main() -> optuna.Study:
    """Search by the words of the command line, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lightning", choices=["pytorch_lightning", "lightning.pytorch"], default="pytorch_lightning")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--classes", nargs="+", default=["food-fruit", "animal-mammal", "animal-bird"])
    options = parser.parse_args()
    lightning = importlib.import_module(options.lightning)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(lambda trial: objective(trial, lightning, options.epochs, options.classes), options.trials)
    pruned = sum(trial.state is optuna.trial.TrialState.PRUNED for trial in study.trials)
    print(
        f"best {MONITOR}: {study.best_value:.3f} with {study.best_params}; {pruned} of {options.trials} stopped early"
    )
    return study


if __name__ == "__main__":
    main()
