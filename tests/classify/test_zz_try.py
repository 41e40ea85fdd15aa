import dataclasses, pytest, sys
sys.path.insert(0,"/work/main/tests/classify")
from test_classify_train import *
@pytest.mark.parametrize("name,rate,steps",[("lstm",.02,60),("lstm",.05,60),("bert",.003,30),("bert",.003,60),("bert",.001,60)])
def test_x(name,rate,steps,recipe,data):
    r=dataclasses.replace(recipe,learning_rate=rate)
    print("\nRES",name,rate,steps,train(name,r,data,steps=steps).metrics)
