use rating::*;
fn main(){
 let mut t=String::from("version=1\neffective_from=\"2026-01\"\nrating_version=1\n[plans.p]\ncurrency=\"EUR\"\n");
 for m in Meter::ALL { t+=&format!("[[plans.p.charges]]\nid=\"{m}\"\nmeter=\"{m}\"\nmodel=\"graduated\"\ntiers=[{{up_to=\"100\",unit_price=\"0.0812\"}},{{unit_price=\"0.0412\"}}]\n"); }
 for i in 0..4 { t+=&format!("[[plans.p.charges]]\nid=\"f{i}\"\nmodel=\"flat\"\namount=\"5\"\n"); }
 let b=PriceBook::parse(&t).unwrap();
 let p="p".parse().unwrap(); let c="EUR".parse().unwrap();
 let t0=std::time::Instant::now(); let mut n=0; let mut lines=0;
 for i in 0..100_000i128 {
  let mut u=MonthUsage::new(format!("cust-{i}").parse().unwrap(),"2026-10".parse().unwrap());
  for f in ["jpeg","png","webp","gif"] {
   let q=|x:i128|Quantity::new(x).unwrap();
   u.add(UsageGroup{region:"eu".parse().unwrap(),operation:"resize".parse().unwrap(),input_format:Some(f.parse().unwrap()),output_format:Some("webp".parse().unwrap()),outcome:Outcome::Done},&Quantities{conversions:q(1000+i),cpu_micros:q(123_456_789+i),input_bytes:q(9_876_543_210+i),output_bytes:q(876_543_210+i),input_pixels:q(876_543_210+i),output_pixels:q(76_543_210+i)}).unwrap();
  }
  let bill=rate(&u,&b,&p,&c).unwrap(); lines+=bill.lines.len(); if std::env::args().len()>1 {n+=bill.to_json_line().unwrap().len();}
 }
 let d=t0.elapsed(); println!("{d:?} {lines} lines {n} bytes");
}
