package javax.annotation;

/** The annotation of generated code, which the generator's archive lacks; a program takes it from jakarta.annotation-api. */
public @interface Generated {
    String[] value();

    String comments() default "";
}
